#version 330 core
// Writes the number of the triangle, counted from 1, as a 24-bit colour (red is the low byte).
out vec4 frag_color;

void main()
{
    int number = gl_PrimitiveID + 1;
    frag_color = vec4(number & 255, (number >> 8) & 255, (number >> 16) & 255, 255) / 255.0;
}
