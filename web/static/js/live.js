// Live parts. The event stream only says that something has changed; each part then fetches itself again and is
// morphed in place. So a lost event, a reconnect or a restarted server costs nothing: the next fetch shows the truth.

const QUIET_MS = 120; // several events of one change make one fetch
const SPACING_MS = 700; // and never more than one fetch in this time
const RETRY_MS = 3000;

let waiting = 0;
let last = 0;

/** Tell the live parts to fetch themselves again, soon. */
function changed() {
  if (waiting || document.hidden) return;
  const wait = Math.max(QUIET_MS, last + SPACING_MS - Date.now());
  waiting = setTimeout(() => {
    waiting = 0;
    last = Date.now();
    document.body.dispatchEvent(new CustomEvent("etabli:changed"));
  }, wait);
}

function lost(is) {
  const notice = document.getElementById("lost");
  if (notice) notice.hidden = !is;
}

/** Progress within a run makes no events: a part that shows it asks for a look every `data-poll` seconds. */
function poll() {
  const seconds = [...document.querySelectorAll("[data-poll]")].map((part) => Number(part.dataset.poll));
  if (seconds.length && Date.now() - last >= Math.min(...seconds) * 1000) changed();
}

export function startLive() {
  const stream = document.getElementById("events");
  if (!stream) return;
  stream.addEventListener("htmx:sse:before:message", (event) => {
    event.preventDefault();
    changed();
  });
  stream.addEventListener("htmx:sse:after:connection", () => {
    lost(false);
    changed(); // what happened between the page and the stream
  });
  stream.addEventListener("htmx:sse:error", () => lost(true));
  for (const failure of ["htmx:error", "htmx:response:error", "htmx:sse:close"]) {
    stream.addEventListener(failure, (event) => {
      if (event.detail?.reason === "removed") return;
      lost(true);
      setTimeout(() => stream.dispatchEvent(new CustomEvent("etabli:reconnect")), RETRY_MS);
    });
  }
  document.addEventListener("visibilitychange", changed);
  setInterval(poll, 1000);
}
