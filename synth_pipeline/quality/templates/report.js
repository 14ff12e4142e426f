(() => {
  "use strict";
  const svg = document.getElementById("diagram");
  const open = hash => {
    const target = hash.length > 1 && document.getElementById(decodeURIComponent(hash.slice(1)));
    if (!target) return;
    let closed = false;
    for (let d = target.closest("details"); d; d = d.parentElement.closest("details")) { closed ||= !d.open; d.open = true; }
    if (closed) target.scrollIntoView();
  };
  addEventListener("hashchange", () => open(location.hash));
  open(location.hash);
  document.addEventListener("click", e => {
    const link = e.target.closest && e.target.closest("a[href^='#'],a[*|href^='#']");
    const hash = link && (link.getAttribute("href") || link.getAttributeNS("http://www.w3.org/1999/xlink", "href"));
    if (hash) open(hash);
  });
  let closed = [];
  addEventListener("beforeprint", () => { closed = [...document.querySelectorAll("details:not([open]):not(.noprint)")]; closed.forEach(d => { d.open = true; }); });
  addEventListener("afterprint", () => closed.forEach(d => { d.open = false; }));
  if (!svg) return;
  const tell = document.getElementById("tell"), quiet = tell.textContent;
  const boxes = new Map([...svg.querySelectorAll(".box")].map(b => [b.dataset.table, b]));
  const links = [...svg.querySelectorAll(".link")], keys = [...svg.querySelectorAll(".key")];
  const clear = () => {
    svg.classList.remove("hover");
    svg.querySelectorAll(".on").forEach(x => x.classList.remove("on"));
    tell.textContent = quiet;
  };
  const mark = (chosen, self) => {
    clear();
    svg.classList.add("hover");
    boxes.get(self).classList.add("on");
    const ids = new Set(chosen.map(l => l.dataset.fk));
    for (const l of chosen) { l.classList.add("on"); boxes.get(l.dataset.child).classList.add("on"); boxes.get(l.dataset.parent).classList.add("on"); }
    for (const k of keys) {
      const mine = k.dataset.fks.split("\u001f").some(id => ids.has(id));
      const parent = k.dataset.primary && chosen.some(l => l.dataset.parent === k.dataset.table);
      if (mine || parent) k.classList.add("on");
    }
    tell.textContent = chosen.length ? chosen.slice(0, 4).map(l => l.dataset.text).join("   ·   ") + (chosen.length > 4 ? `   and ${chosen.length - 4} more` : "") : "No other table refers to this key.";
  };
  for (const k of keys) {
    const ids = new Set(k.dataset.fks.split("\u001f").filter(Boolean));
    const related = links.filter(l => ids.has(l.dataset.fk) || (k.dataset.primary && l.dataset.parent === k.dataset.table));
    const on = () => { mark(related, k.dataset.table); k.classList.add("on"); };
    k.addEventListener("mouseenter", on); k.addEventListener("focus", on);
    k.addEventListener("mouseleave", clear); k.addEventListener("blur", clear);
  }
  for (const [table, box] of boxes) {
    const head = box.querySelector("a");
    const on = () => mark(links.filter(l => l.dataset.child === table || l.dataset.parent === table), table);
    head.addEventListener("mouseenter", on); head.addEventListener("focus", on);
    head.addEventListener("mouseleave", clear); head.addEventListener("blur", clear);
  }
  const [, , w, h] = svg.getAttribute("viewBox").split(" ").map(Number);
  const frame = svg.parentElement;
  const zoom = z => { svg.style.width = `${w * z}px`; svg.style.height = `${h * z}px`; svg.dataset.zoom = z; };
  const fit = () => zoom(Math.min(1, Math.max(0.82, (frame.clientWidth - 2) / w)));
  fit();
  const by = (id, f) => document.getElementById(id).addEventListener("click", f);
  by("zoom-in", () => zoom(Math.min(3, svg.dataset.zoom * 1.25)));
  by("zoom-out", () => zoom(Math.max(0.08, svg.dataset.zoom / 1.25)));
  by("zoom-fit", () => zoom(Math.min((frame.clientWidth - 2) / w, (frame.clientHeight - 2) / h, 1.4)));
  document.getElementById("find-table").addEventListener("input", e => {
    const text = e.target.value.trim().toLowerCase();
    let first = null;
    for (const [table, box] of boxes) {
      const hit = text !== "" && table.toLowerCase().includes(text);
      box.classList.toggle("found", hit);
      if (hit && !first) first = box;
    }
    if (first) {
      const z = Number(svg.dataset.zoom), b = first.getBBox();
      frame.scrollTo({ left: b.x * z - frame.clientWidth / 3, top: b.y * z - frame.clientHeight / 3, behavior: "smooth" });
    }
  });
})();
