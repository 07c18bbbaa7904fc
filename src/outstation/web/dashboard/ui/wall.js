// The wall asks for itself anew. Written as twenty years ago, for a phone of that time is what hangs there; and where the
// node is away, it says so in place of a browser's page of errors, and goes on asking.
(function () {
  var EVERY = 5000, PATIENCE = 15000;
  var SCRIPT = "script[src]";

  function later() { setTimeout(ask, EVERY); }

  function ask() {
    var request = new XMLHttpRequest();
    request.open("GET", location.href);
    request.responseType = "document";
    request.timeout = PATIENCE;
    request.onload = function () { request.status === 200 && request.response ? show(request.response) : lost(); };
    request.onerror = request.ontimeout = lost;
    request.onloadend = later;
    request.send();
  }

  function show(page) {
    var upgraded = page.querySelector(SCRIPT).src !== document.querySelector(SCRIPT).src;
    if (upgraded) location.reload();
    else document.documentElement.replaceChild(document.adoptNode(page.body), document.body);
  }

  function lost() {
    if (document.querySelector(".off")) return;
    var said = document.createElement("p");
    said.className = "off";
    said.setAttribute("role", "alert");
    said.textContent = "Not live since " + document.querySelector(".clock").textContent + "; trying again";
    document.body.insertBefore(said, document.body.firstChild);
    document.body.className += " lost";
  }

  later();
})();
