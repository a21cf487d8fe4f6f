// The templates show before and after in the host's slider, Compare Images. Where there is none, in older hosts and outside
// Nodes 2.0, two previews stand in its place.
import { app } from "../../scripts/app.js";

const SLIDER = "ImageCompare";
const PREVIEW = "PreviewImage";
const TITLES = { image_a: "Before", image_b: "After" };
const GAP = 50; // pixels, with the second preview's title

// In a graph as it is saved: one preview for each of the slider's pictures, one above the other.
function split(graph, node) {
  const sockets = node.inputs.filter((input) => input.link != null && input.name in TITLES);
  const height = (node.size[1] - GAP * (sockets.length - 1)) / sockets.length;
  for (const [index, socket] of sockets.entries()) {
    const id = index ? ++graph.last_node_id : node.id;
    const link = graph.links.find((candidate) => candidate[0] === socket.link);
    link.splice(3, 2, id, 0);
    graph.nodes.push({
      id,
      type: PREVIEW,
      title: TITLES[socket.name],
      pos: [node.pos[0], node.pos[1] + index * (height + GAP)],
      size: [node.size[0], height],
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
    const { registered_node_types: known, vueNodesMode } = globalThis.LiteGraph;
    if (known[SLIDER] && vueNodesMode) return;
    const sliders = (graph?.nodes ?? []).filter((node) => node.type === SLIDER && node.properties?.dmap_pair);
    if (!sliders.length) return;
    graph.nodes = graph.nodes.filter((node) => !sliders.includes(node));
    for (const node of sliders) split(graph, node);
  },
});
