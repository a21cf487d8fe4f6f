// The templates' sample photographs: a template that shows one brings it along, for in a fresh installation the host's
// input folder has none of them, and Load Image would be red. Nothing that is there already is replaced.
import { app } from "../../scripts/app.js";

const isSample = (name) => /^dmap_(old_)?sample(_[a-z]+)?\.(png|jpg)$/.test(name);
// .../extensions/<the pack's folder>/samples.js
const PACK = new URL(".", import.meta.url).pathname.split("/").filter(Boolean).at(-1);

async function offered() {
  const definition = await (await app.api.fetchApi("/object_info/LoadImage")).json();
  const [kind, options] = definition.LoadImage.input.required.image;
  return Array.isArray(kind) ? kind : options.options;
}

async function bring(name) {
  const file = await app.api.fetchApi(`/workflow_templates/${PACK}/${name}`);
  if (!file.ok) throw new Error(`${name}: ${file.status}`);
  const form = new FormData();
  form.append("image", new File([await file.blob()], name));
  const answer = await app.api.fetchApi("/upload/image", { method: "POST", body: form });
  if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
}

function sampleOf(node) {
  const widget = node.type === "LoadImage" ? node.widgets?.find((candidate) => candidate.name === "image") : undefined;
  return isSample(widget?.value) ? widget : undefined;
}

app.registerExtension({
  name: "dmapphotorestoration.samples",
  async beforeConfigureGraph(graph) {
    const values = (graph?.nodes ?? []).filter((node) => node.type === "LoadImage").flatMap((node) => node.widgets_values);
    const wanted = values.filter(isSample);
    if (!wanted.length) return;
    try {
      const there = await offered();
      for (const name of wanted.filter((sample) => !there.includes(sample))) await bring(name);
    } catch (error) {
      console.warn("DMAP: the sample photograph could not be put into the input folder", error);
    }
  },
  loadedGraphNode(node) {
    // The list of files was made before the sample came.
    const widget = sampleOf(node);
    const list = widget?.options?.values;
    if (Array.isArray(list) && !list.includes(widget.value)) list.push(widget.value);
  },
});
