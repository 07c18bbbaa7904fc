// What is about to happen, counted down; and why a rule is as it is, where it stands.
import { element, setText } from "./elements.js";
import { serverNow } from "./now.js";

const AT_MOST_EVERY = 1_000; // ms: an open explanation goes along with what happens
const AT_LEAST_EVERY = 10_000; // ms: ages and times in it pass by themselves

const asked = new WeakMap(); // when each place was filled last

export function start() {
  document.addEventListener("toggle", (event) => {
    if (event.target.dataset?.why && event.target.open) explain(event.target);
  }, true); // it does not bubble
  document.addEventListener("outstation:refreshed", again);
  setInterval(count, 1_000);
  setInterval(() => document.hidden || again(), AT_LEAST_EVERY);
}

function again() {
  for (const opened of document.querySelectorAll("details[data-why][open]")) {
    if (performance.now() - (asked.get(opened) ?? 0) > AT_MOST_EVERY) explain(opened);
  }
  count();
}

async function explain(opened) {
  const place = opened.querySelector(".why");
  if (!asked.has(opened)) place.textContent = "Asking …";
  asked.set(opened, performance.now());
  try {
    const answer = await fetch(`/api/rules/${encodeURIComponent(opened.dataset.why)}/explain`);
    const document_ = await answer.json();
    if (!answer.ok) return place.replaceChildren(element("p", {}, document_.error));
    show(place, document_.text.slice(1)); // the first line says which rule, and that stands here
  } catch {
    place.replaceChildren(element("p", {}, "The node did not answer: open this once more."));
  }
}

// Shows lines as `outstation explain` prints them: what stands in is a list under the line before it.
function show(place, lines) {
  const said = lines.join("\n");
  if (place.dataset.said === said) return;
  place.dataset.said = said;
  place.replaceChildren();
  for (const line of lines) {
    if (!line.startsWith(" ")) place.append(element("p", {}, line));
    else listIn(place).append(element("li", {}, line.slice(4)));
  }
}

function listIn(place) {
  if (place.lastElementChild?.localName !== "ul") place.append(element("ul", {}));
  return place.lastElementChild;
}

function count() {
  const now = serverNow();
  for (const place of document.querySelectorAll("[data-until]")) {
    setText(place, left(Number(place.dataset.until) - now));
  }
}

// The same words as acts.py's.
function left(millis) {
  let rest = Math.floor(Math.max(0, millis) / 1000);
  const parts = [];
  for (const [unit, seconds] of [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]]) {
    if (rest >= seconds) parts.push(`${Math.floor(rest / seconds)} ${unit}`);
    rest %= seconds;
  }
  return parts.slice(0, 2).join(" ") || "0 s";
}
