"use strict";
// The versions of one photograph, large: zoom, and change between them while the place stays.
const viewer = { row: 0, index: 0, zoom: linkZoom([document.querySelector("#viewer .pane")]) };
function showVersion(index) {
  const row = DATA.sheet[viewer.row];
  viewer.index = index;
  const image = row.images[index];
  $("viewer-title").textContent = `${image.label} · ${row.photograph}, ${row.degradation}`;
  $("viewer-image").src = image.src;
  $("viewer-image").alt = `${image.label}, ${row.photograph}`;
  const scores = image.scores ? DATA.judges.map((judge, j) => `${judge} ${number(image.scores[j])}`).join(" · ") : "";
  const facts = image.distance === undefined ? "" : ` · D ${image.distance}, prior weight ${image.weight.toPrecision(3)}`;
  $("viewer-scores").textContent = scores + facts;
  for (const button of $("viewer-versions").children) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.index) === index));
  }
  viewer.zoom.refresh();
}
function openViewer(place, index) {
  viewer.row = place;
  $("viewer-versions").replaceChildren(...DATA.sheet[place].images.flatMap((image, number) => {
    if (!image.src) return [];
    const button = make("button", { type: "button", "data-index": number }, image.label);
    button.addEventListener("click", () => showVersion(number));
    return [button];
  }));
  $("viewer").showModal();
  viewer.zoom.reset();
  showVersion(index);
}
function step(by) {
  const images = DATA.sheet[viewer.row].images;
  let next = viewer.index;
  do next = (next + by + images.length) % images.length; while (!images[next].src);
  showVersion(next);
}
// Show the part that was looked at in all images of the row, beside one another.
function cropRow() {
  const { scale, x, y } = viewer.zoom.view;
  const pane = document.querySelector("#viewer .pane");
  const { naturalWidth: width, naturalHeight: height } = $("viewer-image");
  const fit = Math.min(pane.clientWidth / width, pane.clientHeight / height);
  // The pane's middle in shares of the image, which the pane holds whole and centred at scale 1.
  const middle = (offset, side, length) => ((0.5 - offset) / scale - 0.5) * side / (length * fit) + 0.5;
  const shift = (at) => Math.min(0, Math.max(1 - scale, 0.5 - at * scale)) * 100;
  const [left, top] = [shift(middle(x, pane.clientWidth, width)), shift(middle(y, pane.clientHeight, height))];
  for (const image of document.querySelectorAll(`#sheet [data-row="${viewer.row}"] img`)) {
    image.style.transform = `translate(${left}%, ${top}%) scale(${scale})`;
  }
}
$("viewer").addEventListener("keydown", (event) => {
  const action = { ArrowLeft: () => step(-1), ArrowRight: () => step(1), "+": () => viewer.zoom.by(2),
    "=": () => viewer.zoom.by(2), "-": () => viewer.zoom.by(0.5), 0: () => viewer.zoom.reset() }[event.key];
  if (action) {
    event.preventDefault();
    action();
  }
});
$("viewer").addEventListener("cancel", cropRow);
$("viewer-close").addEventListener("click", () => {
  cropRow();
  $("viewer").close();
});
$("viewer-in").addEventListener("click", () => viewer.zoom.by(2));
$("viewer-out").addEventListener("click", () => viewer.zoom.by(0.5));
$("viewer-whole").addEventListener("click", () => viewer.zoom.reset());
