"use strict";
(() => {
  const find = (selector) => document.querySelector(selector);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const page = JSON.parse(find("#viewer").textContent);
  const library = window.niivue;
  const layers = new Map();
  const hidden = new Set();
  const planes = ["sagittal", "coronal", "axial"]; // as the axes run: right, front, up
  const views = { "Three planes": "MULTIPLANAR", Axial: "AXIAL", Coronal: "CORONAL",
    Sagittal: "SAGITTAL", "3D": "RENDER" };
  const waiting = new Map();
  let viewer;

  const tell = (state, text) => {
    document.documentElement.dataset.viewer = state;
    find("#message").textContent = text;
    find("#message").hidden = text === "";
  };

  const decode = (id) => {
    const text = atob(find(`#${id}`).textContent);
    const bytes = new Uint8Array(text.length);
    for (let index = 0; index < text.length; index += 1) bytes[index] = text.charCodeAt(index);
    return bytes.buffer;
  };

  const load = async (id, options) => {
    if (!layers.has(id)) {
      const image = { url: decode(id), name: `${id}.nii.gz`, cal_min: 0, cal_max: 255,
        ...options };
      layers.set(id, await library.NVImage.loadFromUrl(image));
    }
    return layers.get(id);
  };

  // A slider fires faster than a slow machine draws: its last place, once a frame, is enough.
  const redraw = (control, change) => {
    if (waiting.size === 0) {
      requestAnimationFrame(() => {
        const changes = [...waiting.values()];
        waiting.clear();
        changes.forEach((make) => make());
      });
    }
    waiting.set(control, change);
  };

  const colourMask = () => {
    const parts = [{ value: 0, name: "", colour: "#000000" }, ...page.legend];
    const part = (from) => parts.map(({ colour }) => parseInt(colour.slice(from, from + 2), 16));
    layers.get("label").setColormapLabel({
      R: part(1), G: part(3), B: part(5), I: parts.map(({ value }) => value),
      A: parts.map(({ value }) => (value === 0 || hidden.has(value) ? 0 : 255)),
      labels: parts.map(({ name }) => name),
    });
  };

  const setOpacity = (id, slider) => {
    slider.nextElementSibling.textContent = `${slider.value} %`;
    layers.get(id).opacity = slider.value / 100;
  };

  const arrange = (image, overlays) => {
    viewer.volumes = [image, ...overlays];
    [viewer.back, viewer.overlays] = [image, overlays];
  };

  // The image below is left as it is: to prepare it anew is slow where there is no GPU.
  const drawOverlays = () => {
    viewer.overlays.forEach((overlay, index) => viewer.refreshLayers(overlay, index + 1));
    viewer.drawScene();
  };

  const moveTo = (fractions) => {
    viewer.scene.crosshairPos = fractions;
    viewer.createOnLocationChange();
    viewer.drawScene();
  };

  const showPlace = () => {
    const shape = viewer.volumes[0].dimsRAS.slice(1, 4);
    viewer.frac2vox(viewer.scene.crosshairPos).forEach((place, axis) => {
      const slider = find(`#${planes[axis]}`);
      slider.max = shape[axis] - 1;
      slider.value = place;
      slider.nextElementSibling.textContent = `${Number(place) + 1} / ${shape[axis]}`;
    });
  };

  const press = (pressed, others) => {
    others.forEach((button) => button.setAttribute("aria-pressed", String(button === pressed)));
  };

  const showSequence = async (id) => {
    const image = await load(id, {});
    if (!find(`[data-layer="${id}"][aria-pressed="true"]`)) return; // another was chosen meanwhile
    const { crosshairPos } = viewer.scene;
    arrange(image, viewer.overlays);
    viewer.updateGLVolume();
    moveTo(crosshairPos);
  };

  const showUncertainty = async (slider) => {
    const added = layers.has("uncertainty");
    const image = await load("uncertainty", { colormap: "inferno", cal_min: 8 });
    if (!added) arrange(viewer.back, [...viewer.overlays, image]);
    redraw(slider, () => { setOpacity("uncertainty", slider); drawOverlays(); });
  };

  const reset = () => {
    for (const image of layers.values()) [image.cal_min, image.cal_max] = [0, 255];
    viewer.setPan2Dxyzmm([0, 0, 0, 1]);
    viewer.updateGLVolume();
    moveTo(page.point);
  };

  const wire = () => {
    all("[data-layer]").forEach((button, _, buttons) => button.addEventListener("click", () => {
      press(button, buttons);
      showSequence(button.dataset.layer);
    }));
    all("[data-view]").forEach((button, _, buttons) => button.addEventListener("click", () => {
      press(button, buttons);
      viewer.setSliceType(library.SLICE_TYPE[views[button.dataset.view]]);
    }));
    all(".parts [data-value]").forEach((button) => button.addEventListener("click", () => {
      const value = Number(button.dataset.value);
      if (!hidden.delete(value)) hidden.add(value);
      button.setAttribute("aria-pressed", String(!hidden.has(value)));
      redraw(button, () => { colourMask(); drawOverlays(); });
    }));
    all(".go").forEach((button) => button.addEventListener("click", () => {
      moveTo(viewer.mm2frac(button.dataset.mm.split(" ").map(Number)));
      find(".viewer").scrollIntoView({ block: "center" });
    }));
    planes.forEach((plane, axis) => find(`#${plane}`).addEventListener("input", (event) => {
      redraw(event.target, () => {
        const place = [...viewer.frac2vox(viewer.scene.crosshairPos)];
        place[axis] = Number(event.target.value);
        moveTo(viewer.vox2frac(place));
      });
    }));
    find("#opacity")?.addEventListener("input", ({ target }) => redraw(target, () => {
      setOpacity("label", target);
      drawOverlays();
    }));
    find("#doubt")?.addEventListener("input", ({ target }) => showUncertainty(target));
    find("#reset").addEventListener("click", reset);
  };

  const loadMask = async () => {
    if (!find("#label")) return [];
    const mask = await load("label", {});
    colourMask();
    setOpacity("label", find("#opacity"));
    return [mask];
  };

  // Gradients light a 3D view in a mode that is off; to draw them, slice by slice, takes seconds
  // where there is no GPU. Into a viewport of no size nothing is drawn.
  const leaveOutGradients = () => {
    const use = (context) => {
      viewer.passThroughShader.use(context);
      context.viewport(0, 0, 0, 0);
    };
    viewer.blurShader = Object.create(viewer.passThroughShader, { use: { value: use } });
    viewer.sobelFirstOrderShader = viewer.blurShader;
  };

  const open = async () => {
    viewer = new library.Niivue({
      logLevel: "silent", dragAndDropEnabled: false, isRadiologicalConvention: true,
      sagittalNoseLeft: true, scrollRequiresFocus: true, show3Dcrosshair: true, loadingText: "",
      crosshairColor: [0.34, 0.71, 0.91, 0.7], crosshairGap: 6, crosshairWidth: 0.6, tileMargin: 2,
      dragMode: library.DRAG_MODE.windowing, isNearestInterpolation: false,
      multiplanarShowRender: library.SHOW_RENDER.NEVER,
      multiplanarLayout: library.MULTIPLANAR_TYPE.ROW,
      sliceType: library.SLICE_TYPE.MULTIPLANAR,
    });
    await viewer.attachToCanvas(find("#canvas"), false);
    leaveOutGradients();
    const first = page.sequences.find((sequence) => sequence.first);
    arrange(await load(first.layer, {}), await loadMask());
    viewer.scene.crosshairPos = page.point;
    viewer.updateGLVolume();
    viewer.onLocationChange = showPlace;
    showPlace();
    wire();
    tell("ready", "");
  };

  const fail = (reason) => {
    all(".viewer button, .viewer input, .go").forEach((control) => { control.disabled = true; });
    tell("failed", `The viewer cannot be shown: ${reason}. The slices below are images, `
      + "and the numbers do not depend on it.");
  };

  const start = () => {
    if (!document.createElement("canvas").getContext("webgl2")) {
      fail("this browser has no WebGL2, or it is switched off");
      return;
    }
    open().catch((error) => fail(error.message));
  };

  start();
})();
