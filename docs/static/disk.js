// Browsers run no modules of files: whoever opens the site from a disk is told how to see it whole.
if (location.protocol === "file:") {
  document.addEventListener("DOMContentLoaded", () => {
    const said = document.createElement("p");
    said.className = "from-disk";
    said.setAttribute("role", "status");
    said.textContent = "Opened from a disk: figures stand still, and nothing writes. With python -m http.server -d _site it is all at http://localhost:8000";
    (document.querySelector("article") || document.body).prepend(said);
  });
}
