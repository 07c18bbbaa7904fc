// What the first view needs. What is opened later is imported when it is.
import { start as startActing } from "./act.js";
import { openLater } from "./later.js";
import { start as startNow } from "./now.js";
import { start as startSession } from "./session.js";
import { start as startWhy } from "./why.js";

startNow();
startSession();
startActing();
startWhy();
openLater();
