// On the node `preset` comes first, and what most people leave alone is folded away. In saved workflows the values keep
// the order of the node's definition, which is an interface: it is written and read here.
import { app } from "../../scripts/app.js";

const FIRST = "preset";
const MORE = "dmap_more";

const saved = (node) => node.widgets?.filter((widget) => widget.serialize !== false) ?? [];

function toFront(node) {
  const place = node.widgets.findIndex((widget) => widget.name === FIRST);
  if (place > 0) node.widgets.unshift(...node.widgets.splice(place, 1));
}

// Nodes 2.0 fold by the definition's `advanced` and have their own button. On the canvas the frontend would leave gaps, so
// there the widgets are hidden, but for those that have a link.
function refold(node) {
  const away = !node.dmapUnfolded && !globalThis.LiteGraph.vueNodesMode;
  const fed = (widget) => node.inputs?.some((input) => input.widget?.name === widget.name && input.link != null);
  for (const widget of node.dmapFolded ?? []) widget.hidden = away && !fed(widget);
}

function toggle(node) {
  const before = node.computeSize()[1];
  node.dmapUnfolded = !node.dmapUnfolded;
  refold(node);
  node.setSize([node.size[0], Math.max(node.size[1] + node.computeSize()[1] - before, node.computeSize()[1])]);
  node.setDirtyCanvas?.(true, true);
}

// What has no effect is sent as 0: the host repeats a node for whatever value is new to it.
function keepSeed(node) {
  const [seed, shift] = ["seed", "shift"].map((name) => node.widgets.find((widget) => widget.name === name));
  if (!seed || !shift) return;
  const random = () => shift.value !== 0 || node.inputs?.some((input) => input.widget?.name === "shift" && input.link != null);
  seed.serializeValue = () => (random() ? seed.value : 0);
}

function fold(node, inputs) {
  const folded = node.widgets.filter((widget) => inputs[widget.name]?.[1]?.advanced);
  if (!folded.length) return;
  // Beside a folded seed stands the frontend's own "control after generate".
  node.dmapFolded = folded.flatMap((widget) => [widget, ...(widget.linkedWidgets ?? [])]);
  const more = node.addWidget("button", MORE, null, () => toggle(node), { serialize: false, canvasOnly: true });
  more.serialize = false;
  Object.defineProperty(more, "label", {
    get: () => (node.dmapUnfolded ? "Hide advanced settings" : "Show advanced settings"),
    set: () => undefined,
  });
  refold(node);
}

app.registerExtension({
  name: "dmapphotorestoration.widgets",
  setup() {
    // Between Nodes 2.0 and the canvas; the page has changed over by the next frame.
    const again = () => (app.graph?._nodes ?? []).forEach(refold);
    app.ui?.settings?.addEventListener?.("Comfy.VueNodes.Enabled.change", () => setTimeout(again));
  },
  // Older hosts do not hand on other words for the search: there they come with the first input (nodes/schema.py).
  addCustomNodeDefs(definitions) {
    for (const definition of Object.values(definitions).filter(({ name }) => name.startsWith("DMAP"))) {
      const first = Object.values({ ...definition.input?.required, ...definition.input?.optional })[0];
      definition.search_aliases ??= first?.[1]?.dmap_search_aliases;
    }
  },
  beforeRegisterNodeDef(nodeType, nodeData) {
    if (!nodeData.name.startsWith("DMAP")) return;
    const inputs = { ...nodeData.input?.required, ...nodeData.input?.optional };
    const created = nodeType.prototype.onNodeCreated;
    nodeType.prototype.onNodeCreated = function (...rest) {
      const result = created?.apply(this, rest);
      if (!this.widgets?.length) return result;
      // Nothing random is in a restoration that its seed does not fix: a second run repeats nothing.
      const control = this.widgets.find((widget) => widget.name === "control_after_generate");
      if (control) control.value = "fixed";
      if (control) keepSeed(this);
      this.dmapOrder = saved(this).map((widget) => [widget.name, widget.value]);
      toFront(this);
      fold(this, inputs);
      this.setSize?.(this.computeSize());
      return result;
    };
    const serialized = nodeType.prototype.onSerialize;
    nodeType.prototype.onSerialize = function (data, ...rest) {
      serialized?.call(this, data, ...rest);
      if (!this.dmapOrder || !data.widgets_values) return;
      const names = this.dmapOrder.map(([name]) => name);
      const place = (widget) => (names.includes(widget.name) ? names.indexOf(widget.name) : names.length);
      data.widgets_values = saved(this).sort((a, b) => place(a) - place(b)).map((widget) => widget.value ?? null);
    };
    const configured = nodeType.prototype.onConfigure;
    nodeType.prototype.onConfigure = function (data, ...rest) {
      // The host has given the values out in the order on the node. A workflow may be older than the last widgets.
      const values = data?.widgets_values;
      if (this.dmapOrder && Array.isArray(values)) {
        for (const [index, [name, standard]] of this.dmapOrder.entries()) {
          const before = inputs[name]?.[1]?.dmap_before;
          const widget = this.widgets.find((candidate) => candidate.name === name);
          const value = data.widgets_values_named?.[name] ?? values[index] ?? before ?? standard;
          if (widget && widget.value !== value) widget.value = value;
        }
      }
      refold(this);
      return configured?.call(this, data, ...rest);
    };
  },
});
