// Moving outputs and simulated inputs, changing settings, acknowledging alerts: what acts.py rendered is sent, and what
// came of it is said beside the button, in the node's own words where it refused.
import { doubt, refresh, refreshSoon, serverNow } from "./now.js";
import { ended, keep } from "./session.js";
import { clockTime } from "./units.js";

const PATIENCE = 15_000; // ms: a driver has 2 s
const SHOWN_FOR = 15_000; // ms: what was done is soon no news; what was refused stays

const busy = new Set(); // places where it is about to be said what came of something
const timers = new WeakMap();

const KINDS = {
  output: { order: outputOrder, done: outputDone },
  setting: { order: settingOrder, done: ({ value }) => `Saved: ${value}` },
  alert: {
    order: (id) => ["POST", `/api/alerts/${id}/acknowledge`, {}],
    done: () => "Acknowledged: it is not repeated.",
  },
  simulate: { order: simulateOrder, done: (_, __, form) => `Moved, for ${form.elements.for.selectedOptions[0].textContent}.` },
};

export function start() {
  document.addEventListener("submit", submitted);
}

async function submitted(event) {
  const form = event.target.closest("form[data-act]");
  if (!form) return;
  event.preventDefault();
  const place = (form.closest("[data-output]") ?? form).querySelector("output");
  if (busy.has(place)) return;
  busy.add(place);
  try {
    await act(form, place, event.submitter);
  } finally {
    busy.delete(place);
  }
}

async function act(form, place, button) {
  const { order, done } = KINDS[form.dataset.act];
  const asked = order(form.dataset.name, form, button?.value ?? "");
  if (typeof asked === "string") return say(place, asked, "refused");
  say(place, "Sending …", "");
  keep(place, "");
  const [status, answer] = await send(...asked);
  if (status >= 200 && status < 300) {
    await refresh();
    if (form.dataset.act === "setting") form.reset();
    const lost = answer.recorded === false ? " It is not on disk yet: look at the node's health." : "";
    say(place, done(answer, status, form) + lost, status === 202 ? "pending" : "done");
  } else {
    say(place, answer.error ?? `The node answered ${status}.`, "refused");
    if (status === 401) await ended();
    if (status === 0) lose(place, `${button?.getAttribute("aria-label") ?? form.dataset.name}: ${answer.error}`);
    else refreshSoon();
  }
  keepFocus(place);
}

function lose(place, words) {
  keep(place, words);
  doubt();
}

// Returns [status, document]; status 0 when nobody knows what became of it.
async function send(method, address, body) {
  const before = new Date(serverNow() + PATIENCE).toISOString(); // who waits no longer wants no more
  try {
    const answer = await fetch(address, {
      method,
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ ...body, before }),
      signal: AbortSignal.timeout(PATIENCE),
    });
    return [answer.status, await answer.json().catch(() => ({}))];
  } catch {
    return [0, { error: "The node did not answer. Whether it was done is not known: look before you try again." }];
  }
}

// The orders: [method, address, body], or in words why there is none.

function outputOrder(name, form, action) {
  const body = { action };
  const time = form.elements.for?.value;
  if (time && ["on", "off", "set"].includes(action)) body.for = time;
  if (action === "set") {
    const field = form.elements.value;
    if (!field.reportValidity()) return "A number from 0 to 100.";
    body.value = field.valueAsNumber / 100;
  }
  return ["POST", `/api/actuators/${name}`, body];
}

function settingOrder(name, form, action) {
  const field = form.elements.value;
  if (action === "default") return ["PUT", `/api/settings/${name}`, { value: null }];
  if (field.validity.valueMissing || field.validity.badInput) {
    field.focus();
    return "A number is needed.";
  }
  return ["PUT", `/api/settings/${name}`, { value: field.valueAsNumber }];
}

function simulateOrder(sensor, form, word) {
  const { kind } = form.dataset;
  const field = form.elements.value;
  const value = kind === "bool" ? word === "true" : kind === "number" ? field.valueAsNumber : field.value;
  const time = form.elements.for.value;
  return ["POST", "/api/simulate", { sensor, value, ...(time && { for: time }) }];
}

function outputDone({ action, state, until, pending, overtaken }, status) {
  if (overtaken) return "Done, and overtaken: another order came after it.";
  if (pending && status === 202) return `Taken, and not done yet. It is ${pending.why}.${soonest(pending)}`;
  const is = typeof state === "number" ? `${Math.round(state * 100)} %` : state;
  if (action === "lock") return "Locked: it stays off until it is unlocked.";
  if (action === "unlock") return `Unlocked. It is ${is}.`;
  if (action === "release") return `Released. It is ${is}.`;
  return `It is ${is}${until ? `, until ${local(until)}` : ""}.`;
}

function soonest({ state, effective_at: at }) {
  return at ? ` Then ${state}, at ${local(at)} at the earliest.` : ` Then ${state}.`;
}

function local(iso) {
  return clockTime(Date.parse(iso), serverNow(), Number(document.body.dataset.offset));
}

function say(place, text, kind) {
  clearTimeout(timers.get(place));
  place.className = kind;
  place.textContent = text;
  if (kind === "done" || kind === "pending") timers.set(place, setTimeout(() => { place.textContent = ""; }, SHOWN_FOR));
}

// A button that is gone took the focus with it: what is said in its place has it then.
function keepFocus(place) {
  const { activeElement } = document;
  if (activeElement && activeElement !== document.body) return;
  const there = place.isConnected ? place : document.querySelector("h1");
  there.tabIndex = -1;
  there.focus({ preventScroll: true });
}
