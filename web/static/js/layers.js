// A slider through the layers of a sliced job. The next picture is asked for only when the last one has come, so that
// dragging never queues up requests. Listens to the document: the part of the page may be fetched again at any time.

function show(slider) {
  const image = slider.closest("section").querySelector("[data-layer-image]");
  const wanted = `${slider.dataset.layers}${slider.value}.svg`;
  if (image.getAttribute("src") === wanted || image.dataset.loading) return;
  image.dataset.loading = "yes";
  const done = () => {
    delete image.dataset.loading;
    show(slider); // it may have moved on meanwhile
  };
  image.addEventListener("load", done, { once: true });
  image.addEventListener("error", () => { delete image.dataset.loading; }, { once: true });
  image.src = wanted;
}

export function startLayers() {
  document.addEventListener("input", (event) => {
    const slider = event.target.closest("[data-layers]");
    if (!slider) return;
    slider.closest("label").querySelector("[data-layer-output]").textContent = slider.value;
    show(slider);
  });
}
