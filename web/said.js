// What a DMAP node has said stays on it when the run is over: the frontend clears the lines it showed meanwhile.
import { app } from "../../scripts/app.js";
import { ComfyWidgets } from "../../scripts/widgets.js";

const NAME = "dmap_said";
const LINE = 28; // pixels: a line of text wraps once in a node of usual width

function show(node, lines) {
  let widget = node.widgets?.find((candidate) => candidate.name === NAME);
  if (!widget) {
    widget = ComfyWidgets.STRING(node, NAME, ["STRING", { multiline: true }], app).widget;
    // Neither saved nor sent: the node's own widgets keep their places.
    widget.serialize = widget.options.serialize = false;
    const box = widget.inputEl ?? widget.element;
    if (box) box.readOnly = true;
  }
  widget.value = lines.join("\n");
  widget.options.getMinHeight = () => 20 + LINE * widget.value.split("\n").length;
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
