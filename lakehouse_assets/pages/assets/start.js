"use strict";
Pages.start();
