// The phone's scanner: the server reads a code from the camera or a picture, and the form is sent with it.

const SIDE = 1280;
const form = document.querySelector("[data-scanner]");
const message = form.querySelector("[data-message]");
const video = form.querySelector("video");
let stream = null;

/** Return the text of the code in a picture, or null without a code. */
async function readCode(picture, width, height) {
  const scale = Math.min(1, SIDE / Math.max(width, height));
  const canvas = Object.assign(document.createElement("canvas"), { width: Math.round(width * scale), height: Math.round(height * scale) });
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  const points = new Uint8Array(canvas.width * canvas.height);
  for (let at = 0; at < points.length; at += 1) points[at] = (data[4 * at] * 3 + data[4 * at + 1] * 6 + data[4 * at + 2]) / 10;
  const answer = await fetch(`/phone/pictures?width=${canvas.width}&height=${canvas.height}`, {
    method: "POST", body: points, headers: { "Content-Type": "application/octet-stream" },
  });
  return answer.status === 200 ? (await answer.json()).text : null;
}

function sendCode(text) {
  stopCamera();
  form.elements.code.value = text;
  form.submit();
}

function stopCamera() {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = null;
  video.hidden = true;
}

async function scanFrame() {
  if (stream === null) return;
  const text = video.videoWidth ? await readCode(video, video.videoWidth, video.videoHeight) : null;
  if (stream === null) return;
  if (text !== null) sendCode(text);
  else setTimeout(scanFrame, 250);
}

form.querySelector("[data-camera]").addEventListener("click", async () => {
  if (stream !== null) return stopCamera();
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    video.srcObject = stream;
    video.hidden = false;
    message.textContent = form.dataset.looking;
    await video.play();
    scanFrame();
  } catch {
    stopCamera();
    message.textContent = form.dataset.noCamera;
  }
});

form.querySelector("[data-picture]").addEventListener("change", async (event) => {
  const file = event.target.files[0];
  event.target.value = "";
  if (!file) return;
  message.textContent = form.dataset.looking;
  try {
    const picture = await createImageBitmap(file);
    const text = await readCode(picture, picture.width, picture.height);
    if (text !== null) sendCode(text);
    else message.textContent = form.dataset.noCode;
  } catch {
    message.textContent = form.dataset.noPicture;
  }
});

addEventListener("pagehide", stopCamera);
