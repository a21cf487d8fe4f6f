// The templates show before and after in the host's slider, Compare Images. Hosts older than it show two previews.
import { app } from "../../scripts/app.js";

const SLIDER = "ImageCompare";
const PREVIEW = "PreviewImage";
const TITLES = { image_a: "Before", image_b: "After" };
const GAP = 40;

// `graph` as it is saved: the slider becomes one preview a connected picture, side by side in the slider's place.
function split(graph, node) {
  const sockets = node.inputs.filter((input) => input.link != null);
  const width = (node.size[0] - GAP * (sockets.length - 1)) / sockets.length;
  for (const [index, socket] of sockets.entries()) {
    const id = index ? ++graph.last_node_id : node.id;
    const link = graph.links.find((candidate) => candidate[0] === socket.link);
    link[3] = id;
    link[4] = 0;
    graph.nodes.push({
      id,
      type: PREVIEW,
      title: TITLES[socket.name],
      pos: [node.pos[0] + index * (width + GAP), node.pos[1]],
      size: [width, node.size[1]],
      flags: {},
      order: node.order,
      mode: node.mode,
      inputs: [{ name: "images", type: "IMAGE", link: socket.link }],
      outputs: [],
      properties: { "Node name for S&R": PREVIEW },
      widgets_values: [],
    });
  }
}

app.registerExtension({
  name: "dmapphotorestoration.compare",
  beforeConfigureGraph(graph) {
    const nodes = graph?.nodes ?? [];
    if (globalThis.LiteGraph.registered_node_types[SLIDER] || !nodes.some((node) => node.type.startsWith("DMAP"))) return;
    const sliders = nodes.filter((node) => node.type === SLIDER);
    graph.nodes = nodes.filter((node) => node.type !== SLIDER);
    for (const node of sliders) split(graph, node);
  },
});
