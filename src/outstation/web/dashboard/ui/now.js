// The page moves by itself: what happens in the node is shown as it happens, and what is not live says so.
//
// The law of this file: it changes what page.py rendered, and renders nothing of its own but values and ages.
// What came from a sensor becomes text by textContent alone.
import { element, setText } from "./elements.js";
import { age, clockTime, valueAndUnit } from "./units.js";
import { follow } from "./stream.js";
import { patch } from "./patch.js";

const CHOICES = ["units", "pressure"];
const REFRESH_EVERY = 30_000; // ms: ages, sparklines and totals; what matters comes by the stream
const REFRESH_AT_MOST_EVERY = 1_000; // ms
const PATIENCE = 20_000; // ms
const ASLEEP = 5_000; // ms that only the clock on the wall knows of
const CONNECTING = 3_000; // ms from the start in which nobody is told that there is no stream yet
const SHOWN = 500; // cards, as page.py has it
const [WIDE, HUGE, LONG] = [6, 9, 12]; // characters, as cards.py has it
const KINDS = { data: "number", bdi: "string" }; // how each is shown
const SCRIPT = "script[type=module][src^='/ui/']"; // of a page of ours, as no other has it: a captive portal's neither

let rendered = { at: Number(document.body.dataset.now), when: performance.now() };
const fresh = new Map(); // the newest reading of each sensor that is not shown yet
let later = new Map(); // the newest of those that the page which is asked for may not know
let cards = found(); // by the sensor's name
let asked = 0; // timer of the next refresh
let [running, queued] = [null, null]; // refreshes
let took = 0; // ms from asking for the last one until it was put in
let wasLive = false;
let live = { is: false, since: rendered.at };
let awake = { wall: Date.now(), ticks: performance.now() };
let reconnect = () => {};

export function start() {
  document.documentElement.setAttribute("data-runs", "");
  document.addEventListener("click", choose);
  addEventListener("popstate", () => refresh());
  document.addEventListener("visibilitychange", () => document.hidden || refresh());
  setInterval(tick, 1_000);
  setTimeout(again, REFRESH_EVERY);
  keepChoices();
  reconnect = follow("/api/stream", { happened, changed: told });
}

// Returns the server's time in UTC milliseconds, as far as the page knows it.
export function serverNow() {
  return rendered.at + performance.now() - rendered.when;
}

export function units() {
  const { temperature, pressure } = document.body.dataset;
  return { temperature, pressure };
}

// Asks for the page anew, and puts in what is other than before. Returns whether that worked. What is asked for while
// an answer is under way is asked for after it, once.
export function refresh() {
  clearTimeout(asked);
  asked = 0;
  if (!running) return (running = renew().finally(() => { running = null; }));
  if (!queued) queued = running.then(() => { queued = null; return refresh(); });
  return queued;
}

// Has the page refreshed soon: once, however often it is asked for, and less often where it is much work.
export function refreshSoon(wait = REFRESH_AT_MOST_EVERY) {
  if (!asked) asked = setTimeout(refresh, Math.max(wait, 5 * took));
}

// Takes nothing for live until the node has been heard again.
export function doubt() {
  told(false);
  reconnect();
  refreshSoon(0);
}

async function renew() {
  const where = location.pathname + location.search;
  const began = performance.now();
  later = new Map();
  try {
    const answer = await fetch(where, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout?.(PATIENCE) });
    if (!answer.ok || where !== location.pathname + location.search) return false;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (!page.querySelector(SCRIPT)) return false;
    put(page);
    took = performance.now() - began;
  } catch {
    return false; // the stream says when it is back
  }
  tell("refreshed");
  return true;
}

function put(page) {
  if (page.querySelector(SCRIPT).src !== document.querySelector(SCRIPT).src) return location.reload(); // an upgrade
  patch(document.body, page.body);
  rendered = { at: Number(document.body.dataset.now), when: performance.now() };
  cards = found();
  for (const reading of later.values()) showReading(reading);
  tick();
}

function found() {
  return new Map([...document.querySelectorAll("[data-sensor]")].map((card) => [card.dataset.sensor, card]));
}

function again() {
  if (!document.hidden) refresh();
  setTimeout(again, Math.max(REFRESH_EVERY, 30 * took));
}

function choose(event) {
  const link = event.target.closest?.("a[data-choice]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  history.pushState(null, "", link.href);
  const query = new URL(link.href).searchParams;
  for (const key of CHOICES) if (query.has(key)) remember(key, query.get(key));
  refresh();
}

// Units that were chosen here once are chosen for good.
function keepChoices() {
  const address = new URL(location.href);
  const missing = CHOICES.filter((key) => !address.searchParams.has(key) && remembered(key));
  if (!missing.length) return;
  for (const key of missing) address.searchParams.set(key, remembered(key));
  history.replaceState(null, "", address);
  refresh();
}

function remember(key, value) {
  try {
    localStorage.setItem(`outstation.${key}`, value);
  } catch {} // a browser that keeps nothing
}

function remembered(key) {
  try {
    return localStorage.getItem(`outstation.${key}`);
  } catch {
    return null;
  }
}

function happened(kind, data) {
  const said = JSON.parse(data);
  if (kind === "reading") {
    const reading = { ...said, isWhole: /"value":-?\d+[,}]/.test(data) };
    if (!fresh.size) requestAnimationFrame(show);
    fresh.set(reading.sensor, reading);
    later.set(reading.sensor, reading);
  } else {
    refreshSoon(100);
  }
  tell(kind, said);
}

function told(isLive) {
  if (isLive && !live.is) refreshSoon(wasLive ? 0 : 2_000); // what happened meanwhile
  wasLive = wasLive || isLive;
  if (isLive !== live.is) live = { is: isLive, since: serverNow() };
  tick();
  tell("live", isLive);
}

function show() {
  for (const reading of fresh.values()) showReading(reading);
  fresh.clear();
}

// Shows a reading at once that is of the kind and the quality of the one before; whatever else has become of a sensor,
// the page itself says.
function showReading({ sensor, timestamp, value, quality, isWhole }) {
  const card = cards.get(sensor);
  if (!card) return isWanted() ? refreshSoon() : undefined;
  const at = Date.parse(timestamp);
  const { at: shownAt, unit = "", words } = card.dataset;
  if (at < Number(shownAt)) return; // late: for the store
  const shown = card.querySelector(".value > data, .value > bdi") ?? card.querySelector(".value");
  const marked = card.querySelector(".warn:not([data-old])")?.textContent ?? "ok";
  const isAlike = typeof value === (KINDS[shown.localName] ?? "boolean") && quality.replaceAll("_", " ") === marked;
  if (!isAlike || !shownAt || card.querySelector(".error")) return refreshSoon();
  const [text, shownUnit] = valueAndUnit(value, unit, isWhole, units(), words?.split(","));
  card.dataset.at = Math.min(at, serverNow());
  if (shown.localName === "data") setNumber(shown, text, shownUnit);
  else setText(shown, text);
  if (shown.localName === "bdi") fit(shown.parentNode, { words: text.length <= LONG, long: text.length > LONG });
  const when = card.querySelector(".when time");
  when.dateTime = timestamp;
  setText(when, clockTime(at, serverNow(), offset()));
  ageOf(card);
}

// Tells whether a sensor that is not shown would be, if the page were asked for anew.
function isWanted() {
  return cards.size < SHOWN && !new URLSearchParams(location.search).has("group");
}

function setNumber(data, text, unit) {
  data.value = text;
  setText(data, text.replace("-", "\u2212"));
  fit(data.parentNode, { huge: text.length >= HUGE, wide: text.length >= WIDE && text.length < HUGE });
  if (data.nextElementSibling) setText(data.nextElementSibling, ` ${unit}`);
}

// While a computer sleeps, performance.now() stands still in most browsers (W3C High Resolution Time, issue 115).
function wake() {
  const [wall, ticks] = [Date.now(), performance.now()];
  const lost = wall - awake.wall - (ticks - awake.ticks);
  awake = { wall, ticks };
  if (lost < ASLEEP) return;
  doubt();
  rendered.when -= lost;
}

function fit(place, sizes) {
  for (const [size, is] of Object.entries(sizes)) place.classList.toggle(size, is);
}

function tick() {
  wake();
  const now = serverNow();
  setText(document.querySelector(".clock"), clockTime(now, now, offset()));
  const said = document.querySelector(".live");
  const isOff = !live.is && (wasLive || now - live.since > CONNECTING);
  const off = `Not live since ${clockTime(live.since, now, offset())}; trying again`;
  said.hidden = false;
  said.classList.toggle("off", isOff);
  setText(said, live.is ? "Live" : isOff ? off : "Connecting");
  for (const card of cards.values()) ageOf(card, now);
}

// What was measured too long ago says so, whether the node can be heard or not.
function ageOf(card, now = serverNow()) {
  if (!card.dataset.at) return;
  const passed = now - Number(card.dataset.at);
  setText(card.querySelector(".age"), age(passed));
  const isOld = passed > Number(card.dataset.limit);
  if (isOld === Boolean(card.querySelector("[data-old]"))) return;
  if (isOld) card.querySelector(".said").append(oldSince(Number(card.dataset.at) + Number(card.dataset.limit)));
  else card.querySelector("[data-old]").remove();
  card.classList.toggle("doubtful", Boolean(card.querySelector(".warn")));
}

function oldSince(at) {
  const mark = element("li", { className: "warn" }, `old since ${clockTime(at, serverNow(), offset())}`);
  mark.dataset.old = "";
  return element("ul", { className: "marks" }, mark);
}

function offset() {
  return Number(document.body.dataset.offset);
}

function tell(what, detail) {
  document.dispatchEvent(new CustomEvent(`outstation:${what}`, { detail }));
}
