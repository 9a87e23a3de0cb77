// Where there is no network, a page that was kept answers in its place.
addEventListener("fetch", (event) => {
  const kept = async () => (await caches.match(event.request, { ignoreSearch: true })) ?? Response.error();
  if (event.request.url.startsWith(location.origin)) event.respondWith(fetch(event.request).catch(kept));
});
