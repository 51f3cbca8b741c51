// What every page does: live parts, forms that send once, printing. The page works without all of it.
import { startCut } from "./cut.js";
import { startLayers } from "./layers.js";
import { startLive } from "./live.js";
import { startUpload } from "./upload.js";

document.documentElement.classList.add("scripted");

/** A form that is on its way is not sent again; coming back by the history re-opens it. */
function sendOnce() {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("form[data-once]")) return;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
    // After the browser has read the form: a disabled button's own value would not be sent.
    setTimeout(() => form.querySelectorAll("button").forEach((button) => { button.disabled = true; }));
  });
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) {
      delete form.dataset.sent;
      form.querySelectorAll("button").forEach((button) => { button.disabled = false; });
    }
  });
}

function printButtons() {
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-print]")) window.print();
  });
}

/** Put a field's text on the clipboard; where the browser forbids it, select it, so that a key does. */
function copyButtons() {
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const field = document.getElementById(button.dataset.copy);
    field.select();
    try {
      await navigator.clipboard.writeText(field.value);
      button.textContent = button.dataset.copied;
    } catch {
      field.focus();
    }
  });
}

sendOnce();
printButtons();
copyButtons();
startCut();
startLayers();
startLive();
for (const form of document.querySelectorAll("form[data-upload]")) startUpload(form);
