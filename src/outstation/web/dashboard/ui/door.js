// The door: with a key, or a session that a link from elsewhere did not bring along (SameSite=Strict), the page opens.
import { refresh } from "./now.js";
import { askToSignIn, start } from "./session.js";

document.documentElement.setAttribute("data-runs", "");
document.addEventListener("outstation:refreshed", () => location.replace(location.pathname + location.search));
start();
if (!(await refresh())) askToSignIn(history.state?.said);
