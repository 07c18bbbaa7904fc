// What is opened later: a plot by its link, or by the page's own address: #plot=porch/temperature,vent&last=24h
// Everything that draws is loaded then, and not before.

export function openLater() {
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[data-plot]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    location.hash = `plot=${link.dataset.plot}&last=${link.dataset.last ?? "24h"}`;
  });
  addEventListener("hashchange", look);
  look();
}

async function look() {
  if (!location.hash.startsWith("#plot=") && !document.querySelector("#plot[open]")) return;
  const { follow } = await import("./plot.js");
  follow();
}
