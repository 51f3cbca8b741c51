// The drop zone: drag and drop, a real progress bar, cancel, and errors as the server words them.
// Without this file the form is an ordinary upload form.

/** The answer's own words about a refused file, taken from the page it sent. */
function refusalIn(html) {
  const page = new DOMParser().parseFromString(html, "text/html");
  const refusal = page.getElementById("refusal");
  return refusal ? document.importNode(refusal, true) : null;
}

function sentence(text) {
  const paragraph = document.createElement("p");
  paragraph.className = "banner bad";
  paragraph.textContent = text;
  return paragraph;
}

class Upload {
  constructor(form) {
    this.form = form;
    this.idle = form.querySelector(".drop-idle");
    this.busy = form.querySelector(".drop-busy");
    this.bar = this.busy.querySelector("progress");
    this.status = form.querySelector("[data-upload-status]");
    this.answer = form.querySelector("#upload-answer");
    this.input = form.querySelector("input[type=file]");
    this.cancel = form.querySelector("[data-upload-cancel]");
    this.request = null;
    this.percentFormat = new Intl.NumberFormat(document.documentElement.lang, { style: "percent" });
  }

  send(file) {
    if (this.request || !file) return;
    const body = new FormData();
    body.append("file", file, file.name);
    const request = new XMLHttpRequest();
    request.upload.addEventListener("progress", (event) => this.sending(event));
    request.upload.addEventListener("load", () => this.checking());
    request.addEventListener("load", () => this.answered(request));
    request.addEventListener("error", () => this.ended(sentence(this.form.dataset.textLost)));
    request.addEventListener("abort", () => this.ended(sentence(this.form.dataset.textCancelled)));
    request.open("POST", this.form.action);
    request.setRequestHeader("X-CSRF-Token", this.form.querySelector("input[name=csrf]").value);
    request.setRequestHeader("Accept", "text/html");
    this.request = request;
    this.form.querySelector("[data-upload-name]").textContent = file.name;
    this.answer.replaceChildren();
    this.show(true);
    this.tell(0);
    request.send(body);
    this.cancel.focus();
  }

  tell(share) {
    this.bar.value = share * 100;
    this.status.textContent = `${this.form.dataset.textSending} · ${this.percentFormat.format(share)}`;
  }

  sending(event) {
    if (event.lengthComputable) this.tell(event.loaded / event.total);
  }

  checking() {
    this.bar.removeAttribute("value"); // the bar now only says "at work"
    this.busy.classList.add("checking");
    this.status.textContent = this.form.dataset.textChecking;
  }

  answered(request) {
    if (request.status < 400) {
      window.location.assign(request.responseURL);
      return;
    }
    this.ended(refusalIn(request.responseText) ?? sentence(this.form.dataset.textError));
  }

  ended(words) {
    this.request = null;
    this.show(false);
    this.input.value = "";
    this.answer.replaceChildren(words);
    this.input.focus();
  }

  show(busy) {
    this.idle.hidden = busy;
    this.busy.hidden = !busy;
    this.busy.classList.remove("checking");
  }

  stop() {
    this.request?.abort();
  }
}

/** Wire a form marked `data-upload`. Files dropped anywhere on the page count, so that a near miss does not navigate. */
export function startUpload(form) {
  const upload = new Upload(form);
  upload.input.addEventListener("change", () => upload.send(upload.input.files[0]));
  upload.cancel.addEventListener("click", () => upload.stop());
  const carriesFile = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  let depth = 0; // enter and leave fire for every child
  document.addEventListener("dragenter", (event) => {
    if (carriesFile(event)) form.classList.toggle("over", ++depth > 0);
  });
  document.addEventListener("dragleave", (event) => {
    if (carriesFile(event)) form.classList.toggle("over", --depth > 0);
  });
  document.addEventListener("dragover", (event) => {
    if (carriesFile(event)) event.preventDefault();
  });
  document.addEventListener("drop", (event) => {
    if (!carriesFile(event)) return;
    event.preventDefault();
    depth = 0;
    form.classList.remove("over");
    upload.send(event.dataTransfer.files[0]);
  });
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) upload.show(false);
  });
  // Chosen before this script had run: nobody was listening yet, and a chosen file must not lie there unsent.
  upload.send(upload.input.files[0]);
}
