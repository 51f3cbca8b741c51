// The key of a device that stands at a machine. It is made here, kept in this browser's database, and cannot be read
// out of it by anybody, not even by us. Requests are signed as `web/kiosk.py` says, and go strictly one after the other.

const DATABASE = "etabli-kiosk";
const STORE = "device";
const ALGORITHM = { name: "ECDSA", namedCurve: "P-256" };
const SIGNING = { name: "ECDSA", hash: "SHA-256" };

export const usable = () => Boolean(window.isSecureContext && window.crypto?.subtle && window.indexedDB);

function base64(bytes) {
  return btoa(String.fromCharCode(...new Uint8Array(bytes)));
}

function hex(bytes) {
  return [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function opened() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function inStore(mode, work) {
  const database = await opened();
  try {
    return await new Promise((resolve, reject) => {
      const request = work(database.transaction(STORE, mode).objectStore(STORE));
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  } finally {
    database.close();
  }
}

/** The device that was enrolled here: its id, its machine and its key; nothing where there is none. */
export const remembered = () => inStore("readonly", (store) => store.get("this"));
export const forget = () => inStore("readwrite", (store) => store.delete("this"));

/** Make a key and have the signed-in person enrol it. Throws a Trouble. */
export async function enrol(machineId, name) {
  const pair = await crypto.subtle.generateKey(ALGORITHM, false, ["sign", "verify"]);
  const public_key = base64(await crypto.subtle.exportKey("spki", pair.publicKey));
  const answer = await answered(fetch("/api/v1/kiosks", {
    method: "POST",
    headers: { "Content-Type": "application/json", "Accept-Language": document.documentElement.lang },
    body: JSON.stringify({ machine_id: machineId, name, public_key }),
  }));
  const device = { id: answer.id, machineId: answer.machine_id, name: answer.name, key: pair.privateKey };
  await inStore("readwrite", (store) => store.put(device, "this"));
  return device;
}

/** What the server said no with, or (`code` "lost") that it said nothing. */
export class Trouble extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || "");
    this.status = status;
    this.code = problem.code || "lost";
    this.faults = problem.faults || [];
  }
}

async function answered(request) {
  let answer;
  try {
    answer = await request;
  } catch {
    throw new Trouble(0, {});
  }
  const text = await answer.text();
  let body = {};
  try {
    body = text ? JSON.parse(text) : {};
  } catch { /* a page of a proxy in between says nothing to us */ }
  if (!answer.ok) throw Object.assign(new Trouble(answer.status, body), { date: answer.headers.get("Date") });
  return body;
}

export class Device {
  constructor({ id, machineId, key }) {
    this.id = id;
    this.machineId = machineId;
    this.key = key;
    this.last = 0; // our times only ascend
    this.skew = 0; // what the server's clock is ahead, once it has told us that ours is wrong
    this.turn = Promise.resolve();
  }

  now() {
    return Date.now() + this.skew;
  }

  /** Ask the machine's part of the API, when all that was asked before has been answered. Throws a Trouble. */
  ask(method, name, body, timeoutMs = 5000) {
    const mine = this.turn.then(() => this.send(method, name, body, timeoutMs));
    this.turn = mine.catch(() => {});
    return mine;
  }

  async send(method, name, body, timeoutMs, again = true) {
    try {
      return await this.once(method, name, body, timeoutMs);
    } catch (trouble) {
      const told = trouble.code === "kiosk.clock" && Date.parse(trouble.date);
      if (!told || !again) throw trouble;
      this.skew = told - Date.now();
      this.last = 0;
      return this.send(method, name, body, timeoutMs, false);
    }
  }

  async once(method, name, body, timeoutMs) {
    const path = `/api/v1/machines/${this.machineId}/${name}`;
    const text = body === undefined ? "" : JSON.stringify(body);
    this.last = Math.max(this.last + 1, this.now());
    const bytes = new TextEncoder();
    const digest = hex(await crypto.subtle.digest("SHA-256", bytes.encode(text)));
    const words = bytes.encode([method, path, String(this.last), digest].join("\n"));
    const signature = base64(await crypto.subtle.sign(SIGNING, this.key, words));
    return answered(fetch(path, {
      method,
      body: method === "GET" ? undefined : text,
      headers: {
        "Content-Type": "application/json",
        "Accept-Language": document.documentElement.lang,
        "Etabli-Kiosk": this.id,
        "Etabli-Time": String(this.last),
        "Etabli-Signature": signature,
      },
      signal: AbortSignal.timeout(timeoutMs),
    }));
  }
}
