// What a DMAP node has said stays on it when the run is over: the frontend clears the lines it showed meanwhile.
import { app } from "../../scripts/app.js";

const NAME = "dmap_said";
const STYLE = {
  boxSizing: "border-box",
  width: "100%",
  padding: "4px 8px",
  font: "12px/16px sans-serif",
  color: "var(--input-text, #ddd)",
  whiteSpace: "pre-wrap",
  overflowWrap: "anywhere",
  overflowY: "auto",
  userSelect: "text",
};
const LINE = 16; // pixels
const MARGIN = 28;

function element() {
  const box = document.createElement("div");
  box.className = NAME;
  Object.assign(box.style, STYLE);
  return box;
}

// Lines as they wrap at the node's width; a character is about 6.2 pixels wide.
function height(node, text) {
  const room = Math.max(20, Math.floor((node.size[0] - 40) / 6.2));
  return MARGIN + LINE * text.split("\n").reduce((lines, line) => lines + Math.max(1, Math.ceil(line.length / room)), 0);
}

function show(node, lines) {
  let widget = node.widgets?.find((candidate) => candidate.name === NAME);
  if (!widget) {
    const box = element();
    // Neither saved nor sent: the node's own widgets keep their places.
    widget = node.addDOMWidget(NAME, NAME, box, {
      serialize: false,
      getValue: () => box.textContent,
      setValue: (text) => (box.textContent = text),
      getMinHeight: () => height(node, box.textContent),
    });
    widget.serialize = false;
  }
  widget.value = lines.join("\n").replaceAll("->", "\u2192");
  widget.element.style.minHeight = `${height(node, widget.value) - MARGIN}px`;
  const [width, least] = node.computeSize();
  if (node.size[1] < least) node.setSize([Math.max(width, node.size[0]), least]);
  node.setDirtyCanvas?.(true, true);
}

app.registerExtension({
  name: "dmapphotorestoration.said",
  beforeRegisterNodeDef(nodeType, nodeData) {
    if (!nodeData.name.startsWith("DMAP")) return;
    const executed = nodeType.prototype.onExecuted;
    nodeType.prototype.onExecuted = function (output, ...rest) {
      executed?.call(this, output, ...rest);
      const lines = (output?.text ?? []).filter((line) => typeof line === "string" && line);
      if (lines.length) show(this, lines);
    };
  },
});
