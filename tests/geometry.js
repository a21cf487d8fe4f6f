// What is untidy on the page's canvas, as sentences: nodes that lie on one another, outside their group or smaller than
// what they hold, links behind nodes, titles that two nodes have. Empty for a tidy graph.
(inDom) => {
  const { canvas } = window.app;
  const { graph } = canvas;
  const title = LiteGraph.NODE_TITLE_HEIGHT;
  const faults = [];
  const onPage = canvas.canvas.getBoundingClientRect();
  // left, top, right, bottom on the canvas, the title included
  const box = (node) => {
    const [x, y] = node.pos;
    const element = inDom && document.querySelector(`[data-node-id="${node.id}"]`);
    if (!element) return [x, y - title, x + node.size[0], y + node.size[1]];
    const { left, top, right, bottom } = element.getBoundingClientRect();
    const { scale, offset } = canvas.ds;
    const across = (value) => (value - onPage.left) / scale - offset[0];
    const down = (value) => (value - onPage.top) / scale - offset[1];
    return [across(left), down(top), across(right), down(bottom)];
  };
  const nodes = graph._nodes.map((node) => ({ node, name: node.title, box: box(node) }));
  const apart = (a, b) => a[0] >= b[2] || b[0] >= a[2] || a[1] >= b[3] || b[1] >= a[3];
  for (const [index, first] of nodes.entries())
    for (const second of nodes.slice(index + 1)) {
      if (!apart(first.box, second.box)) faults.push(`${first.name} lies on ${second.name}`);
      if (first.name === second.name) faults.push(`two nodes are called ${first.name}`);
    }
  const groups = graph._groups.map((group) => [
    group.pos[0], group.pos[1] + title, group.pos[0] + group.size[0], group.pos[1] + group.size[1],
  ]);
  const within = ([left, top, right, bottom], group) =>
    left >= group[0] && top >= group[1] && right <= group[2] && bottom <= group[3];
  for (const { node, name, box } of nodes) {
    const note = node.type === "MarkdownNote";
    const homes = groups.filter((group) => within(box, group));
    if (note ? groups.some((group) => !apart(group, box)) : homes.length !== 1) faults.push(`${name} is not in its group`);
    const least = node.computeSize();
    if (!inDom && (node.size[0] + 1 < least[0] || node.size[1] + 1 < least[1])) faults.push(`${name} is smaller than what it holds`);
  }
  // A link that passes behind a node crosses a line inside it.
  const inset = 14; // sockets lie 10 inside
  const context = canvas.ctx;
  context.save();
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.lineWidth = 3;
  const lines = [...graph.links.values(), ...graph.reroutes.values()].filter((line) => line.path);
  for (const { name, box } of nodes) {
    const [left, top, right, bottom] = [box[0] + inset, box[1] + inset, box[2] - inset, box[3] - inset];
    const points = [];
    for (let x = left; x <= right; x += 2) points.push([x, top], [x, bottom]);
    for (let y = top; y <= bottom; y += 2) points.push([left, y], [right, y]);
    for (const line of lines) {
      const hit = points.find(([x, y]) => context.isPointInStroke(line.path, x, y));
      if (hit) faults.push(`a link passes behind ${name} at ${hit.map(Math.round)}`);
    }
  }
  context.restore();
  return faults;
}
