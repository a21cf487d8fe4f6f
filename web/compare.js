// The templates show before and after in the host's slider, Compare Images. Where there is none, in older hosts and outside
// Nodes 2.0, previews stand in its place, of those of its pictures that no other node shows.
import { app } from "../../scripts/app.js";

const SLIDER = "ImageCompare";
const PREVIEW = "PreviewImage";
const SHOW = [PREVIEW, "SaveImage"];
const TITLES = { image_a: "Before", image_b: "After" };
const GAP = 50; // pixels, with the second preview's title

// In a graph as it is saved a link is [id, from, its slot, to, its slot, type].
function shownElsewhere(graph, [id, from, slot]) {
  const kind = (key) => graph.nodes.find((node) => node.id === key)?.type;
  return graph.links.some((other) => other[0] !== id && other[1] === from && other[2] === slot && SHOW.includes(kind(other[3])));
}

function unlink(graph, link) {
  graph.links.splice(graph.links.indexOf(link), 1);
  const output = graph.nodes.find((node) => node.id === link[1])?.outputs?.[link[2]];
  if (output?.links) output.links = output.links.filter((id) => id !== link[0]);
  const { reroutes = [], linkExtensions = [] } = graph.extra ?? {};
  for (const reroute of reroutes) reroute.linkIds = reroute.linkIds?.filter((id) => id !== link[0]);
  if (graph.extra?.reroutes) {
    graph.extra.reroutes = reroutes.filter((reroute) => reroute.linkIds?.length);
    graph.extra.linkExtensions = linkExtensions.filter(({ id }) => id !== link[0]);
  }
}

function replace(graph, node) {
  const links = node.inputs.map((input) => [input.name, graph.links.find(([id]) => id === input.link)]);
  const needed = links.filter(([name, link]) => link && name in TITLES && !shownElsewhere(graph, link));
  for (const [, link] of links) if (link && !needed.some(([, other]) => other === link)) unlink(graph, link);
  const height = (node.size[1] - GAP * (needed.length - 1)) / needed.length;
  for (const [index, [name, link]] of needed.entries()) {
    const id = index ? ++graph.last_node_id : node.id;
    link.splice(3, 2, id, 0);
    graph.nodes.push({
      id,
      type: PREVIEW,
      title: TITLES[name],
      pos: [node.pos[0], node.pos[1] + index * (height + GAP)],
      size: [node.size[0], height],
      flags: {},
      order: node.order,
      mode: node.mode,
      inputs: [{ name: "images", type: "IMAGE", link: link[0] }],
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
    for (const node of sliders) replace(graph, node);
  },
});
