// The theme: the system's, unless one was chosen, which is kept.

const themes = ["", "light", "dark"];
const themeNames = { "": "as the system", light: "light", dark: "dark" };
const themeListeners = [];
const systemDark = window.matchMedia("(prefers-color-scheme: dark)");
let printing = false;

function storedTheme() {
  try {
    const theme = window.localStorage.getItem("annbench-theme");
    return themes.includes(theme) ? theme : "";
  } catch {
    return ""; // a browser may keep nothing for files
  }
}

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  byId("theme-name").textContent = themeNames[theme];
  byId("theme").setAttribute("aria-label", `Theme: ${themeNames[theme]}. Change it`);
  try {
    window.localStorage.setItem("annbench-theme", theme);
  } catch {
    // then it lasts as long as the page
  }
  themeListeners.forEach((listener) => listener());
}

function dark() {
  if (printing) return false;
  const theme = document.documentElement.dataset.theme;
  return theme ? theme === "dark" : systemDark.matches;
}

function startTheme() {
  const button = byId("theme");
  button.hidden = false;
  button.addEventListener("click", () => {
    const now = document.documentElement.dataset.theme || "";
    setTheme(themes[(themes.indexOf(now) + 1) % themes.length]);
  });
  systemDark.addEventListener("change", () => themeListeners.forEach((listener) => listener()));
  setTheme(storedTheme());
}
