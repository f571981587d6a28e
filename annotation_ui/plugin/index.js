// The bundle FiftyOne loads: registers the panel; the panel itself is plain ES modules beside this file.
(function () {
  const base = document.currentScript.src.replace(/[^/]*$/, "");
  // FiftyOne's server sends no Cache-Control, so a browser may keep old modules after an upgrade and mix
  // versions. Asking for each with "no-cache" makes it check them before `import` takes them from its cache.
  const FILES = [
    "actions.js", "codec.js", "cursor.js", "dialogs.js", "dom.js", "ending.js", "header.js", "image_view.js",
    "instances.js", "keys.js", "layout.js", "mesh.js", "mesh_view.js", "model.js", "opinions.js", "others.js",
    "outbox.js", "panel.css", "panel.js", "parts.js", "parts_mode.js", "points.js", "polygon_tool.js",
    "protocol.js", "queue.js", "queue_view.js", "rasteriser.js", "selection.js", "session.js",
    "template_pane.js", "timings.js",
  ];
  let loading = null;
  const load = () => {
    loading ??= Promise.all(FILES.map((file) => fetch(base + file, { cache: "no-cache" }))).then(
      () => import(`${base}panel.js`),
    );
    return loading;
  };

  const React = window.React;
  const { registerComponent, PluginComponentType } = window.__fop__;

  function ReviewPanel() {
    const dataset = window.recoil.useRecoilValue(window.__fos__.datasetName);
    const place = React.useRef(null);
    React.useEffect(() => {
      let panel = null;
      let gone = false;
      const mount = async () => {
        try {
          const module = await load();
          if (!gone) panel = module.mountPanel(place.current, { base, dataset });
        } catch (error) {
          loading = null; // a later try may succeed
          if (!gone) place.current.textContent = `The review panel's files could not be loaded: ${error.message}`;
        }
      };
      mount();
      return () => {
        gone = true;
        panel?.close();
      };
    }, [dataset]);
    return React.createElement("div", { ref: place, style: { height: "100%", width: "100%" } });
  }

  registerComponent({
    name: "densecorr_review",
    label: "Review",
    component: ReviewPanel,
    type: PluginComponentType.Panel,
    panelOptions: { surfaces: "grid", allowDuplicates: false },
  });
})();
