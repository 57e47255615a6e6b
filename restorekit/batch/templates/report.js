// Behaviour of the report: sliders, views, filters and the colour theme. Without it the page still reads.
"use strict";

(() => {
  const root = document.documentElement;
  const all = (selector, within = document) => Array.from(within.querySelectorAll(selector));
  root.classList.add("scripted");

  // Theme: the system's preference, unless the reader chose the other one.
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const key = "restorekit-theme";
  const remember = (theme) => {
    try {
      if (theme) localStorage.setItem(key, theme);
      else localStorage.removeItem(key);
    } catch {
      // Browsers may refuse storage to files; the choice then lasts as long as the page.
    }
  };
  const recall = () => {
    try {
      return localStorage.getItem(key);
    } catch {
      return null;
    }
  };
  const preferred = () => (dark.matches ? "dark" : "light");
  const setTheme = (theme) => {
    if (theme === "dark" || theme === "light") root.dataset.theme = theme;
    else delete root.dataset.theme;
  };
  const switchTheme = () => {
    const next = (root.dataset.theme ?? preferred()) === "dark" ? "light" : "dark";
    const chosen = next === preferred() ? null : next;
    setTheme(chosen);
    remember(chosen);
  };
  setTheme(recall());

  // Sliders: the range input takes keys and speaks; the pointer works on the picture itself.
  const compare = (stage, percent) => {
    const shown = Math.min(100, Math.max(0, percent));
    const range = stage.querySelector("input");
    stage.style.setProperty("--at", `${shown.toFixed(2)}%`);
    range.value = String(Math.round(shown));
    range.setAttribute("aria-valuetext", `${range.value} % before`);
  };
  const follow = (stage, event) => {
    const box = stage.getBoundingClientRect();
    compare(stage, (100 * (event.clientX - box.left)) / box.width);
  };
  document.addEventListener("pointerdown", (event) => {
    const stage = event.target.closest(".stage");
    if (!stage || event.button !== 0) return;
    event.preventDefault();
    stage.setPointerCapture(event.pointerId);
    stage.querySelector("input").focus({ preventScroll: true });
    follow(stage, event);
  });
  document.addEventListener("pointermove", (event) => {
    const stage = event.target.closest?.(".stage");
    if (stage?.hasPointerCapture(event.pointerId)) follow(stage, event);
  });
  document.addEventListener("input", (event) => {
    const stage = event.target.closest(".stage");
    if (stage) compare(stage, Number(event.target.value));
  });

  // Views: the whole picture, or its detail pixel by pixel; one card or all of them.
  const press = (buttons, chosen) => {
    for (const button of buttons) button.setAttribute("aria-pressed", String(chosen(button)));
  };
  const setView = (scope, view) => {
    for (const card of scope) card.dataset.view = card.querySelector(".close") ? view : "fit";
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.matches(".theme")) switchTheme();
    if (button.dataset.view) {
      const view = button.dataset.view;
      const card = button.closest(".card");
      setView(card ? [card] : all(".card"), view);
      press(all(".views button", card ?? document), (other) => other.dataset.view === view);
    }
  });

  const prepareFilters = () => {
    const items = all(".item").map((node) => ({ node, text: node.textContent.toLowerCase(), ...node.dataset }));
    const sections = all("main section");
    const chips = all(".chip");
    const search = document.querySelector(".search");
    const accepts = {
      all: () => true,
      warned: (item) => item.warned !== undefined,
      unchanged: (item) => item.unchanged !== undefined,
    };
    let filter = "all";

    const show = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const accepted = accepts[filter] ?? ((item) => item.status === filter);
      let found = 0;
      for (const item of items) {
        const fits = accepted(item) && words.every((word) => item.text.includes(word));
        item.node.hidden = !fits;
        found += fits;
      }
      for (const section of sections) section.hidden = !section.querySelector(".item:not([hidden])");
      document.querySelector(".nothing").hidden = found > 0 || items.length === 0;
      document.querySelector(".found").textContent = `${found} of ${items.length} pictures shown`;
    };

    for (const chip of chips) {
      chip.addEventListener("click", () => {
        filter = chip.getAttribute("aria-pressed") === "true" ? "all" : chip.dataset.filter;
        press(chips, (other) => other.dataset.filter === filter);
        show();
      });
    }
    search.addEventListener("input", show);
    document.addEventListener("keydown", (event) => {
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target === search) return;
      event.preventDefault();
      search.focus();
    });
    // Browsers put old form values back when a page is opened again.
    for (const stage of all(".stage")) compare(stage, Number(stage.querySelector("input").value));
    show();
  };
  document.addEventListener("DOMContentLoaded", prepareFilters);
})();
