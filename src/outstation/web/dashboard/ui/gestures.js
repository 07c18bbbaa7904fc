// Fingers, mouse, wheel and keys move and zoom what is shown.

const WHEEL = 1.0018;
const STEP = 0.25; // of what is shown: a key
const ZOOM = 2;

// element: takes the gestures; area(): where the lines are, on the screen.
// move(share): later by this share of what is shown; zoom(factor, share): by a factor, around a place from 0 to 1 if
// somebody points there;
// back(): to what was chosen; read(step): the next or the one before; edge(isEnd).
export function gestures(element, area, does) {
  const { move, zoom, back } = does;
  const fingers = new Map();
  const shareOf = (x) => { const { left, width } = area(); return Math.max(0, Math.min(1, (x - left) / width)); };
  const stopped = new AbortController();
  const { signal } = stopped;
  const on = (target, kind, does, options) => target.addEventListener(kind, does, { signal, ...options });

  on(element, "pointerdown", (event) => {
    if (event.button === 0) fingers.set(event.pointerId, event.clientX);
  });
  on(window, "pointermove", (event) => {
    if (!fingers.has(event.pointerId)) return;
    const before = [...fingers.values()];
    fingers.set(event.pointerId, event.clientX);
    const after = [...fingers.values()];
    if (after.length === 1) return move((before[0] - after[0]) / area().width);
    const [middle, then] = [mean(after), mean(before)];
    move((then - middle) / area().width);
    zoom(Math.max(apart(before), 20) / Math.max(apart(after), 20), shareOf(middle));
  });
  for (const kind of ["pointerup", "pointercancel"]) on(window, kind, (event) => fingers.delete(event.pointerId));
  on(element, "wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1;
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) move((event.deltaX * lines) / area().width);
    else zoom(WHEEL ** (event.deltaY * lines), shareOf(event.clientX));
  }, { passive: false });
  on(element, "dblclick", back);
  on(element, "keydown", (event) => {
    const meant = KEYS[(event.shiftKey ? "Shift+" : "") + event.key] ?? KEYS[event.key];
    if (!meant || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    meant(does);
  });
  return () => stopped.abort();
}

const KEYS = {
  ArrowLeft: ({ read }) => read(-1),
  ArrowRight: ({ read }) => read(1),
  PageUp: ({ read }) => read(-10),
  PageDown: ({ read }) => read(10),
  Home: ({ edge }) => edge(false),
  End: ({ edge }) => edge(true),
  "Shift+ArrowLeft": ({ move }) => move(-STEP),
  "Shift+ArrowRight": ({ move }) => move(STEP),
  "+": ({ zoom }) => zoom(1 / ZOOM),
  "=": ({ zoom }) => zoom(1 / ZOOM),
  "-": ({ zoom }) => zoom(ZOOM),
  0: ({ back }) => back(),
};

const mean = (all) => all.reduce((sum, each) => sum + each, 0) / all.length;
const apart = ([one, other]) => Math.abs(one - other);
