(() => {
  const all = (root, what) => [...root.querySelectorAll(what)];
  const panel = document.getElementById("told");
  const views = all(document, "svg.drawing");
  const current = () => views.find((view) => !view.hasAttribute("hidden"));
  const choose = (item) => {
    const view = current();
    all(view, ".near,.chosen").forEach((e) => e.classList.remove("near", "chosen"));
    view.classList.toggle("choosing", !!item);
    panel.textContent = item ? item.querySelector("title").textContent : panel.dataset.empty;
    if (!item) return;
    const id = item.dataset.item;
    item.classList.add("chosen");
    for (const edge of all(view, ".edge")) {
      const { from, to } = edge.dataset;
      if (from !== id && to !== id) continue;
      edge.classList.add("near");
      const other = view.querySelector(`.item[data-item="${from === id ? to : from}"]`);
      if (other) other.classList.add("near");
    }
  };
  const step = (item, down) => {
    const view = current(), id = item.dataset.item;
    const edge = view.querySelector(`.edge[data-${down ? "from" : "to"}="${id}"]`);
    const next = edge && view.querySelector(`.item[data-item="${down ? edge.dataset.to : edge.dataset.from}"]`);
    if (next) next.focus();
  };
  const turn = (box, closed) => {
    box.classList.toggle("closed", closed);
    box.querySelector(".handle").setAttribute("aria-expanded", String(!closed));
  };
  for (const view of views) {
    for (const item of all(view, ".item")) {
      item.setAttribute("tabindex", "0");
      item.setAttribute("role", "button");
      item.setAttribute("aria-label", item.querySelector("title").textContent);
      item.addEventListener("focus", () => choose(item));
      item.addEventListener("click", (e) => { e.stopPropagation(); item.focus(); choose(item); });
      item.addEventListener("keydown", (e) => {
        if (e.key !== "ArrowDown" && e.key !== "ArrowUp") return;
        e.preventDefault();
        step(item, e.key === "ArrowDown");
      });
    }
    for (const box of all(view, ".box")) {
      const handle = box.querySelector(".handle");
      handle.setAttribute("tabindex", "0");
      handle.setAttribute("role", "button");
      handle.setAttribute("aria-label", handle.querySelector("title").textContent);
      handle.addEventListener("click", (e) => { e.stopPropagation(); turn(box, !box.classList.contains("closed")); });
      handle.addEventListener("keydown", (e) => {
        if (e.key !== "Enter" && e.key !== " ") return;
        e.preventDefault();
        turn(box, !box.classList.contains("closed"));
      });
      turn(box, false);
    }
    view.addEventListener("click", () => choose(null));
  }
  document.addEventListener("keydown", (e) => { if (e.key === "Escape") choose(null); });
  const overview = document.getElementById("overview");
  if (overview) {
    overview.addEventListener("click", () => {
      choose(null);
      views.forEach((view) => view.toggleAttribute("hidden"));
      overview.setAttribute("aria-pressed", String(views[0].hasAttribute("hidden")));
    });
  }
  let zoom = 1;
  const scale = (by) => {
    zoom = by ? zoom * by : 1;
    for (const view of views) view.style.width = by ? `${view.viewBox.baseVal.width * zoom}px` : "";
  };
  document.getElementById("larger").addEventListener("click", () => scale(1.25));
  document.getElementById("smaller").addEventListener("click", () => scale(0.8));
  document.getElementById("fit").addEventListener("click", () => scale(0));
  document.getElementById("find").addEventListener("input", (e) => {
    const word = e.target.value.toLowerCase();
    const hit = (item) => word && item.querySelector("text").textContent.toLowerCase().includes(word);
    for (const item of all(current(), ".item")) item.classList.toggle("found", !!hit(item));
    const first = current().querySelector(".found");
    if (first) first.scrollIntoView({ block: "center", inline: "center" });
  });
})();
