// Arithmatex leaves \( … \) and \[ … \] in elements of class "arithmatex"; KaTeX sets them.
for (const element of document.querySelectorAll(".arithmatex")) {
  const source = element.textContent;
  katex.render(source.slice(2, -2), element, { displayMode: source.startsWith("\\["), throwOnError: false });
}
