"use strict";
// One zoom for several panes: what is seen of one image is seen of all, so that they can be compared.
function linkZoom(panes) {
  const view = { scale: 1, x: 0, y: 0 }; // x and y in shares of a pane
  const pointers = new Map();
  let moved = false;

  function show() {
    const most = 1 - view.scale;
    view.x = Math.min(0, Math.max(most, view.x));
    view.y = Math.min(0, Math.max(most, view.y));
    for (const pane of panes) {
      pane.classList.toggle("zoomed", view.scale > 1);
      for (const image of pane.querySelectorAll("img")) {
        image.style.transform =
          `translate(${view.x * pane.clientWidth}px, ${view.y * pane.clientHeight}px) scale(${view.scale})`;
        image.classList.toggle("sharp", view.scale * pane.clientWidth > 2 * (image.naturalWidth || 1e9));
      }
    }
  }
  function zoomTo(scale, x = 0.5, y = 0.5) {
    const next = Math.min(16, Math.max(1, scale));
    view.x = x - (x - view.x) * next / view.scale;
    view.y = y - (y - view.y) * next / view.scale;
    view.scale = next;
    show();
  }
  function place(pane, event) {
    const box = pane.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }
  for (const pane of panes) {
    pane.addEventListener("wheel", (event) => {
      event.preventDefault();
      zoomTo(view.scale * Math.exp(-event.deltaY * 0.002), ...place(pane, event));
    }, { passive: false });
    pane.addEventListener("dblclick", (event) => zoomTo(view.scale > 1 ? 1 : 4, ...place(pane, event)));
    pane.addEventListener("pointerdown", (event) => {
      pane.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, place(pane, event));
      moved = false;
    });
    pane.addEventListener("pointermove", (event) => {
      const before = pointers.get(event.pointerId);
      if (!before) return;
      const now = place(pane, event);
      if (pointers.size === 2) {
        const other = [...pointers].find(([id]) => id !== event.pointerId)[1];
        const apart = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]) || 1e-6;
        zoomTo(view.scale * apart(now) / apart(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
      } else {
        view.x += now[0] - before[0];
        view.y += now[1] - before[1];
        show();
      }
      if (Math.hypot(now[0] - before[0], now[1] - before[1]) > 0.01) moved = true;
      pointers.set(event.pointerId, now);
    });
    for (const end of ["pointerup", "pointercancel"]) {
      pane.addEventListener(end, (event) => pointers.delete(event.pointerId));
    }
  }
  window.addEventListener("resize", show);
  return {
    reset: () => zoomTo(1),
    by: (factor) => zoomTo(view.scale * factor),
    pan: (x, y) => { view.x += x; view.y += y; show(); },
    refresh: show,
    get scale() { return view.scale; },
    get view() { return { ...view }; },
    get moved() { return moved; },
  };
}
