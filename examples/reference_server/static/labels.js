// The words of index.html, before everything else is there: on a slow line the page can be read, and written into, while
// the rest arrives.

import { fillWords } from "./elements.js";

fillWords();
