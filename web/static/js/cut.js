// The bed of a drawing's page: the work is dragged on it, and the cut as it will go is played over it.
// The server draws both without this file; the form's numbers are the truth, and every change of them is a new price.

const KINDS = ["cut", "score", "engrave"];
const STEP_MM = 1;
const LEAP_MM = 10;
const ROUND = 2; // places are told in halves of a millimetre
const PLAY_SECONDS = 20; // a whole cut is played in so long, whatever it takes
const SETTLE_MS = 450; // an answer older than a move of ours must not take the move back
const MARGIN_MM = 8; // around the work, looked at closely

const calm = window.matchMedia("(prefers-reduced-motion: reduce)");

function words(text, values) {
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const minutes = Math.floor(whole / 60);
  const hours = Math.floor(minutes / 60);
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes % 60)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** The first place in `moves` whose time is past `seconds`. */
function after(moves, seconds) {
  let low = 0;
  let high = moves.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (moves[middle][2] <= seconds) low = middle + 1;
    else high = middle;
  }
  return low;
}

class Bed {
  constructor(element) {
    this.element = element;
    this.close = false;
    this.seconds = 0;
    this.playing = false;
    this.plan = null;
    this.asked = "";
    this.drawn = null;
    this.moved = { at: 0, x: "", y: "" };
    this.drag = null;
    element.addEventListener("pointerdown", (event) => this.grab(event));
    element.addEventListener("pointermove", (event) => this.pull(event));
    for (const end of ["pointerup", "pointercancel"]) element.addEventListener(end, () => this.drop());
    element.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(element);
    this.renew();
  }

  get card() { return this.element.closest("section"); }
  get view() { return this.element.querySelector("[data-view]"); }
  get work() { return this.element.querySelector("[data-work]"); }
  get canvas() { return this.element.querySelector("[data-canvas]"); }
  get slider() { return this.card.querySelector("[data-time]"); }
  get bedMm() { return [Number(this.view.querySelector(".bed-floor").getAttribute("width")), Number(this.element.dataset.depth)]; }

  /** The page around has been written anew: what it shows may be another cut. */
  renew() {
    const work = this.work;
    if (work) {
      work.setAttribute("tabindex", "0");
      work.setAttribute("role", "application");
      work.setAttribute("aria-label", this.view.getAttribute("aria-label"));
      work.removeAttribute("transform");
      this.box = ["x", "y", "width", "height"].map((name) => Number(work.dataset[name]));
    } else {
      this.box = null;
    }
    const [x, y] = this.inputs();
    if (Date.now() - this.moved.at < SETTLE_MS && x && this.moved.x !== "") {
      [x.value, y.value] = [this.moved.x, this.moved.y];
      this.follow();
    }
    this.frame();
    this.ink();
    if (this.element.dataset.cut !== this.asked) this.fetch();
    else this.show();
  }

  /** The lines of the cut, each operation in its own colour. Until a new cut has come, the last one stands for it. */
  ink() {
    for (const path of this.element.querySelectorAll("[data-ink]")) path.remove();
    const drawn = this.drawn;
    if (!drawn || !this.box || !this.work) return;
    const [x, y, width, height] = drawn.box;
    if (Math.abs(width - this.box[2]) > 0.01 || Math.abs(height - this.box[3]) > 0.01) return;
    drawn.lines.forEach((line, op) => {
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      path.setAttribute("d", line);
      path.setAttribute("class", `ink ink-${drawn.kinds[op]}`);
      path.setAttribute("transform", `translate(${this.box[0] - x} ${this.box[1] - y})`);
      path.dataset.ink = "";
      this.work.append(path);
    });
  }

  /** What `ink` draws, of the plan that has come. */
  trace() {
    const { moves, operations } = this.plan;
    const depth = this.bedMm[1];
    const lines = operations.map(() => []);
    for (let place = 1; place < moves.length; place += 1) {
      const [x, y, , op] = moves[place];
      if (op < 0) continue;
      const before = moves[place - 1];
      if (before[3] !== op) lines[op].push(`M${before[0]} ${depth - before[1]}`);
      lines[op].push(`L${x} ${depth - y}`);
    }
    this.drawn = { box: this.box, kinds: operations.map((one) => one.kind), lines: lines.map((one) => one.join("")) };
    this.ink();
  }

  inputs() {
    return [document.getElementById("place-x"), document.getElementById("place-y")];
  }

  // --- placing -----------------------------------------------------------------------------------

  /** The work's lower left corner on the bed, in mm. */
  corner() {
    return [this.box[0], this.bedMm[1] - this.box[1] - this.box[3]];
  }

  scale() {
    return this.frameMm[2] / this.view.getBoundingClientRect().width;
  }

  grab(event) {
    if (!event.target.closest("[data-work]") || event.button) return;
    event.preventDefault();
    this.work.focus({ preventScroll: true });
    this.element.setPointerCapture(event.pointerId);
    this.drag = { x: event.clientX, y: event.clientY, from: this.place() };
    this.element.classList.add("dragging");
    this.pause();
    this.seconds = 0;
    this.show();
  }

  pull(event) {
    if (!this.drag) return;
    const scale = this.scale();
    const x = this.drag.from[0] + (event.clientX - this.drag.x) * scale;
    const y = this.drag.from[1] - (event.clientY - this.drag.y) * scale;
    this.put(x, y);
  }

  drop() {
    if (!this.drag) return;
    const [x, y] = this.drag.from;
    this.drag = null;
    this.element.classList.remove("dragging");
    if (this.moved.x !== String(x) || this.moved.y !== String(y)) this.tell();
  }

  key(event) {
    const step = event.shiftKey ? LEAP_MM : STEP_MM;
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!way || !event.target.closest("[data-work]")) return;
    event.preventDefault();
    const [x, y] = this.place();
    this.put(x + way[0] * step, y + way[1] * step);
    this.tell();
  }

  /** Where the form says that it lies; where it says nothing, where Établi has put it. */
  place() {
    const [x, y] = this.inputs();
    const [left, low] = this.corner();
    return [x.value === "" ? left : Number(x.value), y.value === "" ? low : Number(y.value)];
  }

  /** Never off the sheet: it would only be refused. */
  put(x, y) {
    const [width, depth] = this.element.dataset.sheet.split(" ").map(Number);
    const hold = (value, most) => Math.round(Math.min(Math.max(0, value), Math.max(0, most)) * ROUND) / ROUND;
    const inputs = this.inputs();
    inputs[0].value = String(hold(x, width - this.box[2]));
    inputs[1].value = String(hold(y, depth - this.box[3]));
    this.moved = { at: Date.now(), x: inputs[0].value, y: inputs[1].value };
    this.follow();
    const said = words(this.element.dataset.textPlace, this.moved);
    this.card.querySelector("[data-place]").textContent = said;
  }

  follow() {
    if (!this.work) return;
    const [x, y] = this.place();
    const [left, low] = this.corner();
    this.work.setAttribute("transform", `translate(${x - left} ${low - y})`);
  }

  tell() {
    this.moved.at = Date.now();
    this.inputs()[0].dispatchEvent(new Event("input", { bubbles: true }));
  }

  // --- looking -----------------------------------------------------------------------------------

  frame() {
    const [width, depth] = this.bedMm;
    this.frameMm = [0, 0, width, depth];
    if (this.close && this.box) {
      const grown = Math.max((this.box[2] + 2 * MARGIN_MM) / width, (this.box[3] + 2 * MARGIN_MM) / depth);
      const [w, h] = [width * grown, depth * grown];
      this.frameMm = [this.box[0] + this.box[2] / 2 - w / 2, this.box[1] + this.box[3] / 2 - h / 2, w, h];
    }
    this.view.setAttribute("viewBox", this.frameMm.join(" "));
    const button = this.card.querySelector("[data-closer]");
    if (button) button.setAttribute("aria-pressed", String(this.close));
  }

  closer() {
    this.close = !this.close;
    this.frame();
    this.draw();
  }

  // --- the cut -----------------------------------------------------------------------------------

  async fetch() {
    this.pause();
    this.plan = null;
    this.seconds = 0;
    const asked = this.asked = this.element.dataset.cut;
    this.show();
    if (!asked) return;
    try {
      const answer = await fetch(asked, { headers: { Accept: "application/json" } });
      const plan = answer.ok ? await answer.json() : null;
      if (asked !== this.asked) return;
      this.plan = plan;
      if (plan) this.trace();
    } catch {
      this.plan = null;
    }
    if (!this.plan && asked === this.asked) this.card.querySelector("[data-place]").textContent = this.element.dataset.textLost;
    this.show();
  }

  toggle() {
    if (this.playing) {
      this.pause();
      this.show();
      return;
    }
    if (!this.plan) return;
    if (this.seconds >= this.plan.seconds) this.seconds = 0;
    if (calm.matches) { // nothing moves by itself: the whole cut at once, and the slider leads through it
      this.seconds = this.plan.seconds;
      this.show();
      return;
    }
    this.playing = true;
    this.last = performance.now();
    this.show();
    requestAnimationFrame((now) => this.tick(now));
  }

  pause() { this.playing = false; }

  tick(now) {
    if (!this.playing || !this.plan || !this.element.isConnected) return;
    this.seconds += ((now - this.last) / 1000) * (this.plan.seconds / Math.min(PLAY_SECONDS, this.plan.seconds || 1));
    this.last = now;
    if (this.seconds >= this.plan.seconds) {
      this.seconds = this.plan.seconds;
      this.playing = false;
    }
    this.show();
    if (this.playing) requestAnimationFrame((next) => this.tick(next));
  }

  seek(seconds) {
    this.pause();
    this.seconds = seconds;
    this.show();
  }

  show() {
    const slider = this.slider;
    if (!slider) return;
    const end = this.plan?.seconds ?? 0;
    slider.max = String(end || 1);
    slider.step = String(end > 600 ? 1 : 0.1);
    slider.disabled = !this.plan;
    slider.value = String(this.seconds);
    const said = { now: clock(this.seconds), end: clock(end) };
    slider.setAttribute("aria-valuetext", words(this.element.dataset.textTime, said));
    this.card.querySelector("[data-clock]").textContent = this.plan ? `${said.now} / ${said.end}` : "–";
    const button = this.card.querySelector("[data-play]");
    button.disabled = !this.plan;
    button.setAttribute("aria-pressed", String(this.playing));
    for (const part of button.querySelectorAll("[data-when]")) {
      part.hidden = (part.dataset.when === "playing") !== this.playing;
    }
    this.draw();
  }

  draw() {
    const canvas = this.canvas;
    const shown = Boolean(this.plan) && this.seconds > 0;
    canvas.hidden = !shown;
    this.element.classList.toggle("cutting", shown);
    if (!shown) return;
    const { width, height } = this.view.getBoundingClientRect();
    const dots = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * dots);
    canvas.height = Math.round(height * dots);
    const pen = canvas.getContext("2d");
    const zoom = canvas.width / this.frameMm[2];
    const depth = this.bedMm[1];
    const at = (x, y) => [(x - this.frameMm[0]) * zoom, (depth - y - this.frameMm[1]) * zoom];
    const style = getComputedStyle(this.element);
    const inks = Object.fromEntries(KINDS.map((kind) => [kind, style.getPropertyValue(`--${kind}`).trim()]));
    this.strokes(pen, at, dots, inks, style.getPropertyValue("--travel").trim());
  }

  strokes(pen, at, dots, inks, travel) {
    const { moves, operations } = this.plan;
    const end = after(moves, this.seconds);
    pen.lineCap = pen.lineJoin = "round";
    let op = null;
    const begin = (next) => {
      if (op !== null) pen.stroke();
      op = next;
      pen.beginPath();
      pen.strokeStyle = op < 0 ? travel : inks[operations[op]?.kind] || inks.cut;
      pen.lineWidth = dots * (op < 0 ? 0.6 : 1.8);
    };
    let here = moves[0];
    for (let place = 1; place < end; place += 1) {
      const next = moves[place];
      if (next[3] !== op) {
        begin(next[3]);
        pen.moveTo(...at(here[0], here[1]));
      }
      pen.lineTo(...at(next[0], next[1]));
      here = next;
    }
    const next = moves[end];
    if (next) { // on its way to the next place
      const share = next[2] > here[2] ? (this.seconds - here[2]) / (next[2] - here[2]) : 0;
      const there = [here[0] + (next[0] - here[0]) * share, here[1] + (next[1] - here[1]) * share];
      begin(next[3]);
      pen.moveTo(...at(here[0], here[1]));
      pen.lineTo(...at(...there));
      here = there;
    }
    if (op !== null) pen.stroke();
    pen.beginPath();
    pen.arc(...at(here[0], here[1]), 5 * dots, 0, 2 * Math.PI);
    pen.fillStyle = inks.cut;
    pen.fill();
    pen.lineWidth = 2 * dots;
    pen.strokeStyle = "#fff";
    pen.stroke();
  }
}

export function startCut() {
  let bed = null;
  const look = () => {
    const element = document.querySelector("[data-bed]");
    if (!element) bed = null;
    else if (bed?.element === element) bed.renew();
    else bed = new Bed(element);
  };
  // Writing the page anew takes the focus from the work: it is not reached by keys without this file.
  let held = false;
  document.addEventListener("htmx:before:swap", () => { held = Boolean(bed?.work?.contains(document.activeElement)); });
  document.addEventListener("htmx:after:swap", () => {
    look();
    if (held) bed?.work?.focus({ preventScroll: true });
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-play]")) bed?.toggle();
    if (event.target.closest("[data-closer]")) bed?.closer();
  });
  document.addEventListener("input", (event) => {
    if (event.target.matches("[data-time]")) bed?.seek(Number(event.target.value));
    else if (event.target.matches("#place-x, #place-y") && event.isTrusted) bed?.follow();
  });
  look();
}
