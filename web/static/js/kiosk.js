// The tablet at a machine that only a person starts. It shows what the machine waits for, releases by a person's own
// password, and says every half second that the person is there: silence, for whatever reason, makes the machine hold.
import { Device, Trouble, enrol, forget, remembered, usable } from "./kioskkey.js";

const LOOK_MS = 1000;
const SETTLE_MS = 12_000; // a release that has led nowhere by then was refused
const VERDICT_MS = 120_000; // how long a cleared machine still asks how it went
const FRESH_MS = 12_000; // an older reading of a sensor says nothing

const main = document.querySelector("[data-kiosk]");
const limits = {
  ask: Number(main.dataset.askSeconds) * 1000,
  grace: Number(main.dataset.graceSeconds) * 1000,
  press: Number(main.dataset.pressSeconds) * 1000,
  beat: Number(main.dataset.beatMs),
};
const all = (selector, from = document) => [...from.querySelectorAll(selector)];
const words = Object.fromEntries(all("[data-words]").map((list) => [
  list.dataset.words,
  Object.fromEntries(all("[data-key]", list).map((one) => [one.dataset.key, one.textContent])),
]));
const sleep = (ms) => new Promise((done) => { setTimeout(done, ms); });

const state = {
  device: null,
  seen: null, // what the server last said of the machine
  attending: null, // the person beside it: { presenceId, runId, since, confirmed, policy }
  why: "", // why nobody is, any more
  watched: null, // the run that was released here: { runId, presenceId }
  ended: null, // { runId, outcome, judged, at }
  looked: 0,
  screen: "",
};

// --- words -------------------------------------------------------------------------------------------------------

function filled(text, values) {
  return text.replace(/%\((\w+)\)s|\{(\w+)\}/g, (_, one, other) => values[one ?? other] ?? "");
}

/** An interlock in the reader's language; where it names something that is not told, in its own words. */
function rule({ rule: code, reason = "", text = "", seen = "", needed = "" }) {
  const known = words.rules[code];
  const values = { seen: words.seen[seen] ?? seen, needed: words.seen[needed] ?? needed };
  values.needed ||= values.seen;
  const lacks = known && ["seen", "needed"].some((name) => known.includes(`%(${name})s`) && !values[name]);
  return known && !lacks ? filled(known, values) : reason || text || code;
}

function span(seconds) {
  const minutes = Math.floor(seconds / 60);
  return minutes ? `${minutes} min ${String(Math.round(seconds % 60)).padStart(2, "0")} s` : `${Math.round(seconds)} s`;
}

function told(trouble) {
  if (trouble.status === 0) return [words.page.lost];
  if (trouble.faults.length) return trouble.faults.map(rule);
  return [words.problems[trouble.code] ?? trouble.message];
}

// --- what is shown -----------------------------------------------------------------------------------------------

function list(name, items) {
  const text = JSON.stringify(items);
  for (const element of all(`[data-list="${name}"]`)) {
    if (element.dataset.shown === text) continue;
    element.dataset.shown = text;
    element.replaceChildren(...items.map(({ what, say = "", tone = "" }) => {
      const item = document.createElement("li");
      item.className = tone;
      item.append(what);
      if (say) {
        const mark = document.createElement("b");
        mark.textContent = say;
        item.append(" ", mark);
      }
      return item;
    }));
  }
}

function fill(name, text) {
  for (const element of all(`[data-fill="${name}"]`)) if (element.textContent !== text) element.textContent = text;
}

function show(screen) {
  for (const section of all("[data-screen]")) section.hidden = section.dataset.screen !== screen;
  if (state.screen === screen) return;
  state.screen = screen;
  for (const form of all(`[data-screen]:not([data-screen="${screen}"]) [data-form]`)) emptied(form);
  const title = document.querySelector(`[data-screen="${screen}"] h2`);
  title.tabIndex = -1;
  title.focus({ preventScroll: true });
  window.scrollTo(0, 0);
}

function emptied(form) {
  form.reset();
  const answer = form.querySelector("[data-answer]");
  if (answer) answer.hidden = true;
}

/** Which of the screens the machine is at. */
function screenOf() {
  const { seen, attending, ended } = state;
  const { run, machine } = seen;
  if (!run) {
    if (ended && (machine.bed !== "clear" || (!ended.judged && Date.now() - ended.at < VERDICT_MS))) return "ended";
    if (machine.bed !== "clear") return "clear";
    return machine.link !== "online" || machine.held || machine.maintenance ? "unready" : "idle";
  }
  const here = attending?.runId === run.id;
  const begun = ["start_sent", "running", "paused", "unclear"].includes(run.state);
  if (!machine.tells_end && begun && seen.presence_id) return "byhand"; // only the person knows how it goes
  switch (run.state) {
    case "claimed": case "staging": return "coming";
    case "staged": return here ? "starting" : "turn";
    case "start_sent": return machine.release === "physical_start" ? "press" : "starting";
    case "running": return here || machine.release !== "kiosk_start" ? "running" : "lost";
    case "paused": return here ? "starting" : "paused";
    default: return "unclear";
  }
}

function render() {
  const { seen } = state;
  if (!seen) return;
  const { machine, run } = seen;
  fill("machine", machine.name);
  fill("file", seen.file_name);
  fill("member", seen.member_name);
  fill("material", words.sheets[seen.material] ?? (seen.material || words.page.own));
  fill("minutes", seen.print_seconds ? filled(words.page.minutes, { time: span(seen.print_seconds) }) : "–");
  list("conditions", seen.conditions.map((name) => {
    const reading = seen.readings.find((one) => one.name === name);
    const good = Boolean(reading?.good) && state.device.now() - Date.parse(reading.at) < FRESH_MS;
    return { what: words.conditions[name] ?? name, say: good ? "" : words.page.bad, tone: good ? "good" : "bad" };
  }));
  const refusals = seen.refusals.map((refusal) => ({ what: rule(refusal), tone: "bad" }));
  list("refusals", refusals);
  list("trouble", troubles(machine));
  for (const part of all("[data-policy]")) part.hidden = part.dataset.policy !== machine.release;
  for (const part of all("[data-why]")) part.hidden = part.dataset.why !== state.why;
  for (const name of ["release", "go-on"]) {
    const button = document.querySelector(`[data-form="${name}"] button`);
    if (!button.dataset.busy) button.disabled = refusals.length > 0;
  }
  if (run) renderRun(run, seen.print_seconds ?? 0);
  renderEnded(machine);
  document.querySelector("[data-language]").hidden = Boolean(state.attending); // a page that reloads says nothing
  show(screenOf());
}

function troubles(machine) {
  const found = [];
  if (machine.link !== "online") found.push({ what: words.page.link });
  if (machine.maintenance) found.push({ what: words.page.maintenance });
  if (machine.held) found.push({ what: filled(words.page.held, { reason: machine.held }) });
  return found;
}

function renderRun(run, seconds) {
  const number = new Intl.NumberFormat(document.documentElement.lang, { style: "percent" });
  document.querySelector("[data-progress]").value = run.progress * 1000;
  fill("percent", number.format(Math.floor(run.progress * 100) / 100));
  fill("left", filled(words.page.left, { time: span(seconds * (1 - run.progress)) }));
  const { attending } = state;
  const since = attending ? Date.now() - attending.since : 0;
  fill("countdown", attending && run.state === "start_sent" ? span(Math.max(0, limits.press - since) / 1000) : "");
  const quiet = attending && run.state === "running" ? Date.now() - attending.confirmed : 0;
  const asks = attending?.policy === "kiosk_start" && quiet > limits.ask;
  const panel = document.querySelector("[data-still]");
  if (panel.hidden === asks) {
    panel.hidden = !asks;
    if (asks) panel.querySelector("[data-here]").focus();
  }
  fill("grace", filled(words.page.grace, { seconds: Math.max(0, Math.ceil((limits.ask + limits.grace - quiet) / 1000)) }));
}

function renderEnded(machine) {
  const { ended } = state;
  if (!ended) return;
  const screen = document.querySelector('[data-screen="ended"]');
  for (const part of all("[data-outcome]", screen)) {
    part.hidden = (part.dataset.outcome === "finished") !== (ended.outcome === "finished");
  }
  screen.querySelector('[data-form="judge"]').hidden = ended.judged;
  screen.querySelector("[data-judged]").hidden = !ended.judged;
  screen.querySelector('[data-form="clear-after"]').hidden = machine.bed === "clear";
}

// --- being there -------------------------------------------------------------------------------------------------

let lock = null;

async function awake() {
  try {
    lock = await navigator.wakeLock?.request("screen");
  } catch { /* a tablet that may not stay awake is held when it sleeps */ }
}

function attend(presence) {
  const at = Date.now();
  const { machine } = state.seen;
  state.attending = { presenceId: presence.id, runId: presence.run_id, since: at, confirmed: at, policy: machine.release };
  state.watched = { runId: presence.run_id, presenceId: presence.id };
  state.why = "";
  awake();
}

/** Nobody is beside it any more, as far as this page knows. No more heartbeats from this very moment. */
function leave(why) {
  if (!state.attending) return;
  state.attending = null;
  state.why = why;
  lock?.release().catch(() => {});
  lock = null;
  render();
}

function judgePresence() {
  const { attending, seen } = state;
  if (!attending || !seen) return;
  const { run } = seen;
  if (!run || run.id !== attending.runId) {
    leave("");
  } else if (run.state === "running") {
    attending.ran = true;
    const quiet = Date.now() - attending.confirmed;
    if (attending.policy === "kiosk_start" && quiet > limits.ask + limits.grace) leave("silent");
  } else if (run.state === "paused" && (attending.ran || Date.now() - attending.since > SETTLE_MS)) {
    leave("");
  } else if (run.state === "staged" && (seen.presence_used || Date.now() - attending.since > SETTLE_MS)) {
    leave("");
  } else if (run.state === "unclear") {
    leave("");
  }
}

async function beat() {
  const { attending, device } = state;
  if (!attending || attending.policy !== "kiosk_start" || document.hidden) return;
  const run = await device.ask("POST", "heartbeat", { presence_id: attending.presenceId, run_id: attending.runId }, 1500);
  if (state.seen?.run?.id === run.id) Object.assign(state.seen.run, run);
}

async function look() {
  state.looked = Date.now();
  const seen = await state.device.ask("GET", "kiosk");
  state.seen = seen;
  if (seen.run) {
    if (state.ended && seen.run.id !== state.ended.runId) state.ended = null;
    if (seen.presence_id) state.watched = { runId: seen.run.id, presenceId: seen.presence_id };
  } else if (state.watched) {
    await ended();
  }
}

/** The run that was released here is over: how did it end? One that never began has nothing to be asked. */
async function ended() {
  const { runId, presenceId } = state.watched;
  const run = await state.device.ask("POST", "heartbeat", { presence_id: presenceId, run_id: runId });
  if (!run.outcome) return;
  state.watched = null;
  if (run.started_at) state.ended = { runId, outcome: run.outcome, judged: false, at: Date.now() };
}

async function follow() {
  let quiet = 0;
  for (;;) {
    const began = performance.now();
    try {
      await beat();
      if (Date.now() - state.looked >= LOOK_MS - limits.beat / 2) await look();
      quiet = 0;
      document.querySelector("[data-offline]").hidden = true;
      judgePresence();
    } catch (trouble) {
      if (!(trouble instanceof Trouble)) throw trouble;
      if (["kiosk.unknown", "kiosk.signature", "kiosk.elsewhere"].includes(trouble.code)) return gone();
      quiet += 1;
      if (quiet > 2) {
        document.querySelector("[data-offline]").hidden = false;
        leave("offline");
      }
    }
    render();
    await sleep(Math.max(20, limits.beat - (performance.now() - began)));
  }
}

async function gone() {
  await forget();
  document.querySelector("[data-when-revoked]").hidden = false;
  show("enrol");
}

// --- what a person does ------------------------------------------------------------------------------------------

const given = (form) => Object.fromEntries(new FormData(form).entries());

const FORMS = {
  enrol: async (form) => {
    const { machine_id: machineId, name } = given(form);
    await enrol(machineId, name);
    await fetch("/api/v1/sessions/current", { method: "DELETE" });
    window.location.replace("/kiosk");
  },
  release: (form) => release(form),
  "go-on": (form) => release(form),
  clear: (form) => clear(form),
  "clear-after": (form) => clear(form),
  close: (form, closing) => {
    const { minutes } = given(form);
    const body = { run_id: state.seen.run.id, closing, minutes: minutes === "" ? null : Number(minutes) };
    return state.device.ask("POST", "close", body);
  },
  judge: async (form, verdict) => {
    await state.device.ask("POST", "judge", { run_id: state.ended.runId, verdict });
    state.ended.judged = true;
  },
};

async function release(form) {
  const { email, password } = given(form);
  const checklist = new FormData(form).getAll("check");
  const body = { run_id: state.seen.run.id, email, password, checklist };
  attend(await state.device.ask("POST", "release", body, 15_000));
}

async function clear(form) {
  const { email, password } = given(form);
  state.seen.machine = await state.device.ask("POST", "clear-here", { email, password }, 15_000);
}

async function sent(form, pressed) {
  const buttons = all("button", form);
  const answer = form.querySelector("[data-answer]");
  answer.hidden = true;
  for (const button of buttons) [button.disabled, button.dataset.busy] = [true, "yes"];
  try {
    await FORMS[form.dataset.form](form, pressed);
    emptied(form);
  } catch (trouble) {
    if (!(trouble instanceof Trouble)) throw trouble;
    answer.replaceChildren(...told(trouble).map((text) => {
      const line = document.createElement("p");
      line.textContent = text;
      return line;
    }));
    answer.hidden = false;
    const password = form.querySelector('[name="password"]');
    if (password) {
      password.value = ""; // it is asked each time, and kept nowhere
      password.focus();
    }
  } finally {
    for (const button of buttons) {
      button.disabled = false;
      delete button.dataset.busy;
    }
  }
  render();
}

function listen() {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.dataset.form) return;
    event.preventDefault();
    sent(form, event.submitter?.value);
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-hold]")) leave("hold");
    if (event.target.closest("[data-here]") && state.attending) {
      state.attending.confirmed = Date.now();
      render();
    }
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden && state.attending?.policy === "kiosk_start") leave("hidden");
  });
  window.addEventListener("pagehide", () => leave("hidden"));
  window.addEventListener("beforeunload", (event) => {
    if (state.attending?.policy === "kiosk_start") event.preventDefault();
  });
}

async function start() {
  listen();
  if (!usable()) {
    show("insecure");
    return;
  }
  const device = await remembered();
  if (!device) {
    show("enrol");
    return;
  }
  state.device = new Device(device);
  document.querySelector("[data-enrolled]").hidden = false;
  await follow();
}

start();
