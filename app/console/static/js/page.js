// The page starts: its cookie gives the server the reader's time zone, and `data-stuck`, a message for browsers that are too
// old for this script, is removed.

// The server formats times in the reader's zone, which it reads from this cookie.
document.cookie = `xuezu-zone=${Intl.DateTimeFormat().resolvedOptions().timeZone}; path=/; max-age=31536000; samesite=lax`;

document.querySelector("[data-stuck]")?.remove();
