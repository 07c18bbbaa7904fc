// Signing in and out. The law of this file: the key goes to the node once, in a header, and is kept nowhere; what is
// kept is a cookie that no script reads (web/api/session.py).
import { setText } from "./elements.js";
import { refresh } from "./now.js";

const PATIENCE = 15_000; // ms
const LETTERS = /^[\x21-\x7e]+$/; // what a header can carry (RFC 9110, section 5.5)

const ENDED = "Your session has ended. Sign in again.";

const lost = new Map(); // by the place where it is said: what nobody knows the end of
let who = name();
let told = "";
let back = null; // where the focus was

export function start() {
  document.addEventListener("click", clicked);
  document.addEventListener("outstation:refreshed", compare);
  document.addEventListener("outstation:live", ({ detail: isLive }) => isLive || !who || look());
  dialog().addEventListener("submit", submitted);
  dialog().addEventListener("change", show);
  dialog().addEventListener("close", forget);
}

// Opens the dialog. why: in words, what happened that it opens by itself.
export function askToSignIn(why = "") {
  back ??= document.activeElement;
  said().textContent = why;
  if (!dialog().open) dialog().showModal();
  field().focus();
}

// Asks for a key where one could look on without; where not, the page goes with the session.
export async function ended() {
  if (await refresh()) askToSignIn(ENDED);
  else await look();
}

// Has words stay when their place is gone; where there are none any more, those that stayed were read.
export function keep(place, words) {
  if (!words) for (const each of lost.keys()) if (!each.isConnected) lost.delete(each);
  lost.set(place, words);
}

function clicked(event) {
  const { signIn, signOut, close } = event.target.closest?.("button")?.dataset ?? {};
  if (signIn !== undefined) askToSignIn();
  if (signOut !== undefined) leave();
  if (close !== undefined) dialog().close();
}

async function submitted(event) {
  event.preventDefault();
  const key = field().value.trim();
  said().textContent = "";
  const refusal = LETTERS.test(key) ? await begin(key) : "No key has such letters in it: look at it once more.";
  if (refusal) {
    said().textContent = refusal;
    field().select();
    return field().focus();
  }
  const card = back?.closest("[data-output]");
  dialog().close();
  await refresh();
  tell(name() ? "" : "The node took the key, but this browser keeps no cookie: allow cookies for this page.");
  (card?.querySelector("form button") ?? document.querySelector("[data-sign-out]"))?.focus();
}

// Returns why not, in words; nothing when it worked.
async function begin(key) {
  const headers = { "X-API-Key": key, "Content-Type": "application/json" };
  try {
    const answer = await fetch("/api/session", {
      method: "POST", headers, body: "{}", signal: AbortSignal.timeout(PATIENCE),
    });
    if (answer.status === 401) return "This key is not known here, or was revoked.";
    return answer.ok ? "" : (await answer.json()).error;
  } catch {
    return "The node did not answer: try again.";
  }
}

async function leave() {
  const before = who;
  who = ""; // what ends now is no surprise
  const refusal = await end();
  if (refusal) {
    who = before;
    return tell(`${refusal} You are still signed in.`);
  }
  if (!(await refresh())) return location.reload(); // who may not look any more sees nothing any more
  tell("You are signed out.");
  document.querySelector("[data-sign-in]")?.focus();
}

// Returns why not, in words; nothing when it worked.
async function end() {
  try {
    const answer = await fetch("/api/session", { method: "DELETE", signal: AbortSignal.timeout(PATIENCE) });
    return answer.ok || answer.status === 401 ? "" : (await answer.json()).error;
  } catch {
    return "The node did not answer.";
  }
}

// Says so when the session is over without anybody here having ended it.
function compare() {
  const hasEnded = who && !name();
  if (hasEnded) tell("Your session has ended. What you see is live; to move something, sign in again.");
  else tell(name() ? "" : told);
  who = name();
}

// Where nobody looks without a key, the end of a session is the end of what is seen: door.js says why.
async function look() {
  const answer = await fetch("/api/session", { signal: AbortSignal.timeout(PATIENCE) }).catch(() => null);
  if (answer?.status !== 401 || !who) return;
  who = ""; // once
  history.replaceState({ said: [...lost.values(), ENDED].filter(Boolean).join(" ") }, "");
  location.reload();
}

function show(event) {
  if (event.target.dataset.showKey !== undefined) field().type = event.target.checked ? "text" : "password";
}

function forget() {
  field().type = "password";
  dialog().querySelector("form").reset();
  said().textContent = "";
  if (back?.isConnected) back.focus();
  back = null;
}

function tell(text) {
  told = text;
  const stayed = [...lost].filter(([place]) => !place.isConnected).map(([, words]) => words);
  setText(document.querySelector(".session-said"), [...stayed, text].filter(Boolean).join(" "));
}

function name() { return document.querySelector("[data-session]")?.dataset.session ?? ""; }
function dialog() { return document.getElementById("sign-in"); }
function field() { return document.getElementById("sign-in-key"); }
function said() { return document.getElementById("sign-in-said"); }
