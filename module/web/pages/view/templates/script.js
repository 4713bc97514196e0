// Without this script the texts are selected by one click, and copied as any others.
if (navigator.clipboard) for (const code of document.querySelectorAll("dd code, .digest code")) {
	const button = document.createElement("button");
	button.className = "copy";
	button.type = "button";
	button.textContent = "Copy";
	button.setAttribute("aria-label", "Copy " + (code.closest("dd") ? "the command for " + code.closest("div").querySelector("dt").textContent : "the SHA-256 of " + code.closest("th").querySelector("a").textContent));
	button.addEventListener("click", async () => {
		await navigator.clipboard.writeText(code.textContent);
		button.textContent = "Copied";
		setTimeout(() => button.textContent = "Copy", 1500);
	});
	code.after(button);
}
