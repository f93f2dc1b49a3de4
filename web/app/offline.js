// The service worker: keeps the app's own files, so that it opens without a network.
// Documents are kept by the app itself. `files` is written by vite.config.ts.

const files = []
const page = "/"
const kept = caches.open(files.join())

self.addEventListener("install", (event) => event.waitUntil(kept.then((cache) => cache.addAll([page, ...files]))))

// It takes over when the last tab with an older app has gone.
self.addEventListener("activate", (event) => event.waitUntil(forgetOthers()))

async function forgetOthers() {
  const names = await caches.keys()
  await Promise.all(names.filter((name) => name !== files.join()).map((name) => caches.delete(name)))
}

self.addEventListener("fetch", (event) => {
  const { request } = event
  const { origin, pathname } = new URL(request.url)
  if (request.method !== "GET" || origin !== location.origin) return
  if (files.includes(pathname)) event.respondWith(kept.then(async (cache) => (await cache.match(pathname)) ?? fetch(request)))
  else if (request.mode === "navigate" && !/^\/(api|dev|metrics)\b|\./.test(pathname)) {
    event.respondWith(fetch(request).catch(async () => (await (await kept).match(page)) ?? Response.error()))
  }
})
