// What is marked in a plot: alerts and the spells of rules that have to do with its sensors, and the same in words.
import { ask } from "./columns.js";
import { element } from "./elements.js";
import { moment } from "./localtime.js";

const MOST_ALERTS = 1_000;
const MOST_TOLD = 30;

// Returns { alerts, spells } between two times, each with start and end in milliseconds; end null: it goes on.
export async function fetchMarks(names, start, end, signal) {
  const query = new URLSearchParams(names.map((name) => ["sensor", name]));
  query.set("start", new Date(start).toISOString());
  query.set("end", new Date(end).toISOString());
  const [spells, alerts] = await Promise.all([
    ask(`/api/rules/spells?${query}`, signal),
    ask(`/api/alerts?limit=${MOST_ALERTS}`, signal),
  ]);
  return {
    spells: spells.spells.map((spell) => ({ rule: spell.rule, start: spell.start ? Date.parse(spell.start) : start, end: spell.end && Date.parse(spell.end) })),
    alerts: alerts.alerts
      .filter((alert) => isAbout(alert, names, spells.spells))
      .map((alert) => ({ ...alert, start: Date.parse(alert.raised_at), end: alert.cleared_at && Date.parse(alert.cleared_at) }))
      .filter((alert) => alert.start < end && (alert.end ?? end) >= start),
  };
}

// Tells whether an alert has to do with what is drawn. What another node reports is called by that node's name here.
export function isAbout({ node, subject, values }, names, spells) {
  const here = (name) => (node ? `${node}/${name}` : name);
  if ([subject, ...Object.keys(values)].some((name) => names.includes(here(name)))) return true;
  return !node && spells.some(({ rule }) => rule === subject);
}

// Shows in words what is marked, the newest first. show(start, end): puts a spell into the middle.
export function tellMarks(list, { alerts, spells }, now, show) {
  const told = [
    ...alerts.map((alert) => ({ ...alert, kind: `alert ${alert.severity}`, words: alert.message, what: `${capital(alert.severity)} alert` })),
    ...spells.map((spell) => ({ ...spell, kind: "spell", words: spell.rule, what: "Rule fired" })),
  ].sort((one, other) => other.start - one.start);
  const left = told.length - MOST_TOLD;
  list.replaceChildren(...told.slice(0, MOST_TOLD).map((mark) => line(mark, now, show)));
  if (left > 0) list.append(element("li", { className: "left" }, `and ${left} more: zoom in to see them`));
}

function line(mark, now, show) {
  const until = mark.end === null ? " until now" : ` to ${moment(mark.end, mark.start, 1_000)}`;
  const when = `${moment(mark.start, now, 1_000)}${until}`;
  const button = element("button", { type: "button", onclick: () => show(mark.start, mark.end ?? now) }, when);
  button.setAttribute("aria-label", `Show ${when}`);
  return element("li", { className: mark.kind }, element("b", {}, mark.what), " ", element("span", {}, mark.words), " ", button);
}

const capital = (word) => word[0].toUpperCase() + word.slice(1);
