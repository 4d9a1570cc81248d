/* Keeps an open page up to date. Without this script every page works; one reloads by hand.
   A "changed" event carries no content: the page asks for its own <main> again, through the door, and puts it in place. */
(function () {
  "use strict";
  var main = document.querySelector("main");
  if (!main || !window.fetch || !window.DOMParser) return;
  var note = document.getElementById("melding");
  var waiting = null, busy = false, again = false, stream = null, pause = 5000;

  function writing() {
    var at = document.activeElement;
    return at && main.contains(at) && /^(INPUT|TEXTAREA|SELECT)$/.test(at.tagName);
  }
  function soon(after) {
    if (waiting === null) waiting = setTimeout(function () { waiting = null; refresh(); }, after);
  }
  function refresh() {
    // Nobody looks at a hidden page, so nobody asks: each answer is a line in her list.
    if (document.hidden || writing()) { again = true; return; }
    if (busy) { again = true; return; }
    busy = true; again = false;
    fetch(location.href, { headers: { "X-Fragment": "main" }, credentials: "same-origin", cache: "no-store" }).then(function (answer) {
      if (answer.status === 401 || answer.status === 403) { location.reload(); return; }
      if (!answer.ok) throw new Error();
      return answer.text().then(place);
    }).catch(function () { again = true; }).then(function () {
      busy = false;
      if (again && !document.hidden && !writing()) soon(3000);
    });
  }
  function place(html) {
    var fresh = new DOMParser().parseFromString(html, "text/html").querySelector("main");
    if (!fresh) return;
    main.dataset.version = fresh.dataset.version || "";
    var at = document.activeElement, back = at && main.contains(at) ? path(at) : null;
    var open = list(main.querySelectorAll("details[open][id]")).map(function (d) { return d.id; });
    var sideways = list(main.querySelectorAll(".scroll")).map(function (s) { return s.scrollLeft; });
    var down = window.scrollY, changed = false;
    list(fresh.querySelectorAll("details[id]")).forEach(function (d) { d.open = open.indexOf(d.id) >= 0; });
    if (main.children.length === fresh.children.length) {
      list(fresh.children).forEach(function (part, i) {
        if (!part.isEqualNode(main.children[i])) { changed = true; main.replaceChild(part.cloneNode(true), main.children[i]); }
      });
    } else { changed = true; main.replaceChildren.apply(main, list(fresh.childNodes)); }
    if (!changed) return;
    list(main.querySelectorAll(".scroll")).forEach(function (s, i) { s.scrollLeft = sideways[i] || 0; });
    var to = back && !main.contains(document.activeElement) && find(back);
    if (to) to.focus({ preventScroll: true });
    window.scrollTo(window.scrollX, down);
    if (note && main.dataset.live) note.textContent = "Deze pagina is bijgewerkt om " + new Date().toLocaleTimeString("nl-NL") + ".";
  }
  function list(nodes) { return Array.prototype.slice.call(nodes); }
  function path(node) {
    if (node.id) return "#" + node.id;
    var steps = [];
    for (; node !== main; node = node.parentNode) steps.unshift(Array.prototype.indexOf.call(node.parentNode.children, node));
    return steps;
  }
  function find(where) {
    if (typeof where === "string") return document.getElementById(where.slice(1));
    return where.reduce(function (node, i) { return node && node.children[i]; }, main);
  }
  function follow() {
    if (!main.dataset.live || !window.EventSource || stream) return;
    var url = new URL(main.dataset.live, location.href);
    url.searchParams.set("sinds", main.dataset.version || "");
    stream = new EventSource(url);
    stream.addEventListener("changed", function (event) { if (event.data !== main.dataset.version) soon(300); });
    stream.onopen = function () { pause = 5000; };
    stream.onerror = function () {
      // A stream that ended comes back by itself. One that was refused (logged out, closed, hub away) is asked about, ever more slowly.
      if (stream.readyState !== EventSource.CLOSED) return;
      stream = null;
      setTimeout(function () { again = true; refresh(); follow(); }, pause);
      pause = Math.min(pause * 2, 60000);
    };
  }
  document.addEventListener("visibilitychange", function () {
    if (document.hidden) return;
    if (again) refresh();
  });
  document.addEventListener("focusout", function () { if (again) soon(500); });
  follow();
  var every = Number(main.dataset.every);
  if (every) setInterval(refresh, every * 1000);
})();
