// Without this script the texts are selected by one click, and copied as any others.
const copying = document.createElement("p");
copying.className = "said";
copying.setAttribute("role", "status"); // screen readers say what comes into it
document.body.append(copying);
if (navigator.clipboard) for (const code of document.querySelectorAll("dd code, .digest code")) {
	const button = document.createElement("button");
	button.className = "copy";
	button.type = "button";
	const what = code.closest("dd") ? "the command for " + code.closest("div").querySelector("dt").textContent : "the SHA-256 of " + code.closest("th").querySelector("a").textContent;
	const say = (did, aloud) => {
		button.textContent = did;
		button.setAttribute("aria-label", did + " " + what);
		copying.textContent = aloud;
	};
	say("Copy", "");
	button.addEventListener("click", async () => {
		await navigator.clipboard.writeText(code.textContent);
		say("Copied", "Copied");
		setTimeout(() => say("Copy", ""), 1500);
	});
	code.after(button);
}
