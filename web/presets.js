// Presets in the browser: choosing one sets the widgets where everyone sees it, here and on the DMAP node it belongs to;
// changing a widget by hand makes the preset "custom". The values come with the node's definition (nodes/preset.py).
import { app } from "../../scripts/app.js";

const CUSTOM = "custom";

function presetWidget(node) {
  return node?.dmapPresets ? node.widgets?.find((widget) => widget.name === "preset") : undefined;
}

function show(node, name) {
  for (const [key, value] of Object.entries(node.dmapPresets[name] ?? {})) {
    const widget = node.widgets.find((candidate) => candidate.name === key);
    if (widget) widget.value = value;
  }
}

// A DMAP Optimize shares its preset with the DMAP Invert above it, a DMAP Invert with all below it; two ascents that
// start from one inversion keep their own.
function partners(node) {
  const below = (node.outputs ?? []).flatMap((_, slot) => node.getOutputNodes(slot) ?? []);
  let above = node;
  do above = (above.inputs ?? []).map((_, slot) => above.getInputNode(slot)).find(presetWidget);
  while (above?.type === node.type);
  return [above, ...below].filter((other) => presetWidget(other) && other.type !== node.type);
}

function apply(node, name) {
  for (const each of [node, ...partners(node)]) {
    if (!(name in each.dmapPresets)) continue;
    presetWidget(each).value = name;
    show(each, name);
    each.setDirtyCanvas?.(true, true);
  }
}

function watch(node) {
  const preset = presetWidget(node);
  if (!preset) return;
  const chosen = preset.callback;
  preset.callback = function (value, ...rest) {
    chosen?.call(this, value, ...rest);
    if (value !== CUSTOM) apply(node, value);
  };
  const named = new Set(Object.values(node.dmapPresets).flatMap((values) => Object.keys(values)));
  for (const widget of node.widgets.filter((candidate) => named.has(candidate.name))) {
    const changed = widget.callback;
    widget.callback = function (value, ...rest) {
      changed?.call(this, value, ...rest);
      preset.value = CUSTOM;
    };
  }
}

app.registerExtension({
  name: "dmapphotorestoration.presets",
  beforeRegisterNodeDef(nodeType, nodeData) {
    const presets = nodeData.input?.optional?.preset?.[1]?.dmap_presets;
    if (!presets) return;
    nodeType.prototype.dmapPresets = presets;
    const created = nodeType.prototype.onNodeCreated;
    nodeType.prototype.onNodeCreated = function (...rest) {
      const result = created?.apply(this, rest);
      watch(this);
      return result;
    };
    const configured = nodeType.prototype.onConfigure;
    nodeType.prototype.onConfigure = function (...rest) {
      const result = configured?.apply(this, rest);
      // A saved preset may have changed with the pack: what is shown is what will be used.
      const preset = presetWidget(this);
      if (preset && preset.value !== CUSTOM) show(this, preset.value);
      return result;
    };
  },
});
