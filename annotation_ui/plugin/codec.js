// Arrays travel as base64 of little-endian values; every machine a browser runs on is little-endian.

const KINDS = { f32: Float32Array, i32: Int32Array, u8: Uint8Array };

export function decode(kind, text) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return new KINDS[kind](bytes.buffer);
}

export function decodeTemplate(template) {
  return {
    ...template,
    vertices: decode("f32", template.vertices),
    faces: decode("i32", template.faces),
    colors: decode("u8", template.colors),
    mirror: template.mirror === null ? null : decode("i32", template.mirror),
    parts: template.parts === null ? null : decode("u8", template.parts),
  };
}

// An instance with its picture decoded: what is preloaded must be ready to draw.
export async function decodeInstance(instance) {
  const picture = new Image();
  picture.src = instance.image.png;
  await picture.decode();
  return { ...instance, picture };
}
