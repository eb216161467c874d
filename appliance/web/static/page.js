// Keeps the page current: puts the parts that the box sends in their place. Without this script it reloads itself.
"use strict";

(() => {
  const root = document.documentElement;
  const language = root.lang;
  const SILENCE = 30000; // ms; the box is never silent for longer than its heartbeat, 10 s
  const RETRY = 5000; // ms; for answers after which a browser does not try again by itself
  let source = null;
  let watchdog = 0;

  function alive() {
    root.dataset.connection = "live";
    clearTimeout(watchdog);
    watchdog = setTimeout(() => {
      lost();
      connect();
    }, SILENCE);
  }

  function lost() {
    root.dataset.connection = "lost";
  }

  function replace(name, html) {
    const place = document.getElementById(`part-${name}`);
    const template = document.createElement("template");
    template.innerHTML = html;
    if (place && place.innerHTML !== template.innerHTML) {
      place.replaceChildren(template.content);
    }
  }

  function show(event) {
    alive();
    const news = JSON.parse(event.data);
    root.dataset.state = news.state;
    if (document.title !== news.title) {
      document.title = news.title;
      document.getElementById("icon").href = `/icon/${news.state}.svg`;
    }
    for (const [name, html] of Object.entries(news.parts)) {
      replace(name, html);
    }
  }

  function connect() {
    if (source) {
      source.close();
    }
    source = new EventSource(`/api/events?lang=${language}`);
    source.addEventListener("status", show);
    source.addEventListener("heartbeat", alive);
    source.addEventListener("open", alive);
    source.addEventListener("error", () => {
      lost();
      if (source.readyState === EventSource.CLOSED) {
        clearTimeout(watchdog);
        watchdog = setTimeout(connect, RETRY);
      }
    });
  }

  connect();
})();
