// Graphs that were saved before DMAP Optimize had the widget "scale" meant its fidelity weight as it stands: they keep that.
import { app } from "../../scripts/app.js";

app.registerExtension({
  name: "dmapphotorestoration.scale",
  beforeRegisterNodeDef(nodeType, nodeData) {
    if (nodeData.name !== "DMAPOptimize") return;
    const configured = nodeType.prototype.onConfigure;
    nodeType.prototype.onConfigure = function (saved, ...rest) {
      const result = configured?.call(this, saved, ...rest);
      const index = this.widgets?.findIndex((widget) => widget.name === "scale") ?? -1;
      const values = saved?.widgets_values;
      if (index >= 0 && Array.isArray(values) && values.length <= index) this.widgets[index].value = "absolute";
      return result;
    };
  },
});
