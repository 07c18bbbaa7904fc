// What the node's sensors and outputs are called, for the plot's legend and its choice.
import { ask } from "./columns.js";

// Returns a Map of name to { label, unit, words, group, isSwitch }: as the page has them, and all that are not on it.
// Raises an Error as ask() does.
export async function knownSensors() {
  const [sensors, outputs] = await Promise.all(["/api/sensors", "/api/actuators"].map((each) => ask(each)));
  const known = new Map();
  for (const { name, label, unit, value } of sensors.sensors) {
    const isSwitch = typeof value === "boolean";
    known.set(name, { label: label || human(name), unit, words: wordsOf(name), group: group(name), isSwitch });
  }
  for (const { name, label, state } of outputs.actuators) {
    const isSwitch = state === "on" || state === "off";
    known.set(name, { label: label || human(name), unit: "", words: ["on", "off"], group: "Outputs", isSwitch });
  }
  return known;
}

// The card of a sensor knows what true and false are called there.
function wordsOf(name) {
  const words = document.querySelector(`[data-sensor="${CSS.escape(name)}"]`)?.dataset.words;
  return words ? words.split(",") : ["on", "off"];
}

const group = (name) => (name.includes("/") ? name.slice(0, name.lastIndexOf("/")) : "Sensors");

// As wording.py has it: air_temperature is "Air temperature".
export function human(name) {
  const text = name.slice(name.lastIndexOf("/") + 1).replaceAll("_", " ").trim();
  return text ? text[0].toUpperCase() + text.slice(1) : name;
}
