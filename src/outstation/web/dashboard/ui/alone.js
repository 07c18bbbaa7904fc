// For browsers in which the modules do not run: the page is complete as it is, and is asked for again.
setTimeout(function () {
  if (!document.documentElement.hasAttribute("data-runs")) location.reload();
}, 15000);
