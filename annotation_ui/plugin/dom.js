// Elements without a framework.

export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

// A 2-D context whose unit is a CSS pixel, on a canvas that fills its parent; false if there is no room.
export function fitCanvas(canvas, ratio) {
  const { clientWidth: width, clientHeight: height } = canvas.parentElement;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
  return w > 0 && h > 0;
}

export function pointerPlace(canvas, event) {
  const box = canvas.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

// Drawing asked for many times before the next frame is done once.
export function oncePerFrame(draw) {
  let frame = 0;
  return () => {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      draw();
    });
  };
}

// For what is about to go or to be switched off: its focus goes to what holds it, so that the keyboard still works.
export function leaveFocus(element) {
  if (element.contains(document.activeElement)) element.closest("[tabindex]")?.focus({ preventScroll: true });
}

export function setHidden(element, hidden) {
  if (hidden) leaveFocus(element);
  element.hidden = hidden;
}

// New children for an element; what had the focus is replaced by its successor, so that the keyboard still works.
export function replaceChildren(parent, ...children) {
  const stops = () => [...parent.querySelectorAll("button, select")];
  const at = stops().indexOf(document.activeElement);
  parent.replaceChildren(...children);
  if (at >= 0) (stops()[at] ?? parent.closest("[tabindex]"))?.focus({ preventScroll: true });
}
