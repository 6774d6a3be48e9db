// A message of an error is searched for as it was printed; to the search its colons, hyphens and quotes are a query language.
document.addEventListener("input", (event) => {
  const box = event.target;
  if (!box.matches("[data-md-component=search-query]")) return;
  const plain = box.value.replace(/[:^~*"]/g, " ").replace(/(^|\s)[-+]+/g, "$1");
  if (plain !== box.value) box.value = plain;
}, true);
