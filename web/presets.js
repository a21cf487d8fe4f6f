// Presets in the browser: choosing one sets the widgets where everyone sees it, here and on the DMAP node it belongs to;
// changing a widget by hand makes the preset "custom". The values come with the node's definition (nodes/preset.py).
// A widget whose value comes by a link, or from outside the subgraph that its node is in, is never touched.
import { app } from "../../scripts/app.js";

const CUSTOM = "custom";
const PATH = "DMAP_PATH";

const linked = (node, name) => node.inputs?.some((input) => input.widget?.name === name && input.link != null);

function presetWidget(node) {
  return node?.dmapPresets ? node.widgets?.find((widget) => widget.name === "preset") : undefined;
}

// The preset's values that this node's own widgets may take.
function free(node, name) {
  const values = Object.entries(node.dmapPresets[name] ?? {});
  const widgets = values.map(([key, value]) => [node.widgets.find((candidate) => candidate.name === key), value]);
  return widgets.filter(([widget]) => widget && !linked(node, widget.name));
}

function ends(node, slots, of) {
  const links = slots.filter((slot) => slot.type === PATH).flatMap((slot) => slot.links ?? slot.link ?? []);
  return links.map((id) => node.graph.getLink?.(id) ?? node.graph.links[id]).map((link) => node.graph.getNodeById(of(link)));
}

const above = (node) => ends(node, node.inputs ?? [], (link) => link.origin_id);
const below = (node) => ends(node, node.outputs ?? [], (link) => link.target_id);

// A DMAP Optimize shares its preset with the DMAP Invert above it, a DMAP Invert with all below it; two ascents that
// start from one inversion keep their own. `beyond` says whether a path leads into or out of a subgraph.
function partners(node) {
  let up = node;
  do up = above(up).at(0);
  while (up?.type === node.type);
  const upwards = node.inputs?.some((input) => input.type === PATH && input.link != null);
  const found = [...(upwards ? [up] : []), ...below(node)];
  const beyond = found.some((other) => !other || other.isSubgraphNode?.());
  return { found: found.filter((other) => presetWidget(other) && other.type !== node.type), beyond };
}

function say(node, name) {
  const detail =
    `The preset "${name}" is set on ${node.title} only. The DMAP node at the other end of its path is in another graph, or ` +
    "has its preset by a link: choose the same preset there.";
  app.extensionManager?.toast?.add({ severity: "warn", summary: "DMAP", detail, life: 10000 });
}

function set(node, name) {
  for (const [widget, value] of free(node, name)) widget.value = value;
  node.setDirtyCanvas?.(true, true);
}

function apply(node, name) {
  set(node, name);
  const { found, beyond } = partners(node);
  const reached = found.filter((other) => name in other.dmapPresets && !linked(other, "preset"));
  for (const other of reached) {
    presetWidget(other).value = name;
    set(other, name);
  }
  if (beyond || reached.length < found.length) say(node, name);
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
      if (!linked(node, "preset")) preset.value = CUSTOM;
    };
    // A preset that comes by a link, as from the widget of a subgraph, is known to the server alone: what nobody has set here
    // is left to it.
    const standard = widget.value;
    const optional = widget.name in (node.dmapOptional ?? {});
    widget.serializeValue = () =>
      optional && linked(node, "preset") && widget.value === standard ? undefined : widget.value;
  }
}

app.registerExtension({
  name: "dmapphotorestoration.presets",
  beforeRegisterNodeDef(nodeType, nodeData) {
    const presets = nodeData.input?.optional?.preset?.[1]?.dmap_presets;
    if (!presets) return;
    nodeType.prototype.dmapPresets = presets;
    nodeType.prototype.dmapOptional = nodeData.input.optional;
    const created = nodeType.prototype.onNodeCreated;
    nodeType.prototype.onNodeCreated = function (...rest) {
      const result = created?.apply(this, rest);
      watch(this);
      return result;
    };
    const configured = nodeType.prototype.onConfigure;
    nodeType.prototype.onConfigure = function (...rest) {
      const result = configured?.apply(this, rest);
      // A saved preset may have changed with the pack, or a value may have been set without this page: what was saved wins.
      const preset = presetWidget(this);
      if (!preset || preset.value === CUSTOM || linked(this, "preset")) return result;
      if (free(this, preset.value).some(([widget, value]) => widget.value !== value)) preset.value = CUSTOM;
      return result;
    };
  },
});
